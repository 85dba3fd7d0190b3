#!/usr/bin/env bash
# Installs what is missing, builds, runs all tests, and ends with ctest's summary.
#
#   tests/run.sh [PRESET] [ctest options...]     PRESET: release (default), debug, asan, tsan
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=release
if [[ $# -gt 0 && $1 != -* ]]; then
  preset=$1
  shift
fi

# As in .ci/sanitize.sh; what is set already counts.
case $preset in
  tsan) export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1 suppressions=$PWD/.ci/tsan.supp} ;;
  asan) export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$PWD/.ci/lsan.supp print_suppressions=0} ;;
esac

.ci/install_packages.sh
cmake --preset "$preset" >/dev/null
cmake --build --preset "$preset"
exec ctest --preset "$preset" --parallel "$(nproc)" "$@"
