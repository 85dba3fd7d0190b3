#!/usr/bin/env bash
# What takes too long for every change.
#
#   tests/nightly.sh sim [COUNT]    the queue in COUNT simulated worlds (10000), from a seed that is new every day
#
# A failure prints its seed; TANDEM_SEED=<seed> build/release/bin/sim_tests is that world again. TANDEM_SEED_FROM=<seed>
# begins elsewhere. The exit status is 1 when something failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1:-} in
  sim)
    count=${2:-10000}
    [[ $count =~ ^[1-9][0-9]*$ ]] || { echo "expected a number of worlds, found '$count'" >&2; exit 2; }
    from=${TANDEM_SEED_FROM:-$(date +%Y%m%d)00000}
    cmake --preset release >/dev/null
    cmake --build --preset release --target sim_tests
    echo "sim: $count worlds, from seed $from"
    cd tests
    # The ten parts of the test case beside each other, as many as there are processors.
    log=$(mktemp -d)
    trap 'rm -rf "$log"' EXIT
    failed=0
    seq 0 9 | TANDEM_SEEDS=$count TANDEM_SEED_FROM=$from xargs -P "$(nproc)" -I{} sh -c \
      "../build/release/bin/sim_tests --gtest_brief=1 --gtest_filter='*/{}' >$log/{} 2>&1" || failed=1
    [[ $failed -eq 0 ]] || cat "$log"/*
    [[ $failed -eq 0 ]] && echo "sim: every promise was kept"
    exit $failed
    ;;
  *)
    echo "usage: tests/nightly.sh sim [COUNT]" >&2
    exit 2
    ;;
esac
