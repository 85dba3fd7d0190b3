#!/usr/bin/env bash
# A short sanitizer pass: what runs in several threads under ThreadSanitizer, what parses or owns memory under
# AddressSanitizer and UndefinedBehaviorSanitizer. `tests/run.sh asan` and `tests/run.sh tsan` run everything.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export TSAN_OPTIONS="halt_on_error=1 suppressions=$PWD/.ci/tsan.supp"
export ASAN_OPTIONS="detect_leaks=1"
export LSAN_OPTIONS="suppressions=$PWD/.ci/lsan.supp print_suppressions=0"
export UBSAN_OPTIONS="print_stacktrace=1"

# run PRESET TARGET...: builds these test programs only; what was not built is left out, and so is what takes minutes
# this way and is about bits, not memory or threads.
run() {
  local preset=$1
  shift
  echo "== $preset: $*"
  cmake --preset "$preset" >/dev/null
  cmake --build --preset "$preset" --target "$@"
  ctest --preset "$preset" --parallel "$(nproc)" --exclude-regex '_NOT_BUILT|golden_answers|inference_soak|SameBytes' --label-exclude 'fuzz|bench|campaign' --progress
}

run tsan shared_tests worker_tests queue_system_tests fault_campaign
ctest --preset tsan --tests-regex '^fault_campaign$'
run asan tokenizer_tests engine_tests
