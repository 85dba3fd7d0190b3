#!/usr/bin/env bash
# What takes too long for every commit. Builds what it needs, runs it, and ends with its summary and exit status.
#
#   tests/nightly.sh sim [COUNT]          the queue in 10,000 simulated worlds, from a seed that is new every day
#   tests/nightly.sh faults [KILLS]       1,000 kills of broker, workers and clients under load
#   tests/nightly.sh powercut [CUTS]      the journal as 20,000 power cuts would leave it
#   tests/nightly.sh soak [MINUTES]       an hour of everything at once, with flat memory
#   tests/nightly.sh fuzz [ROUNDS]        1,000,000 rounds of each fuzzer of the queue
#   tests/nightly.sh all                  everything here, one after the other
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# build TARGET...
build() {
  .ci/install_packages.sh
  cmake --preset release >/dev/null
  cmake --build --preset release --target "$@"
}

# Each is a function of the same name; the first argument is how much of it.

# A failure prints its seed; TANDEM_SEED=<seed> build/release/bin/sim_tests is that world again, and
# TANDEM_SEED_FROM=<seed> begins elsewhere.
sim() {
  local count=${1:-10000} from=${TANDEM_SEED_FROM:-$(date +%Y%m%d)00000} log failed=0
  [[ $count =~ ^[1-9][0-9]*$ ]] || { echo "expected a number of worlds, found '$count'" >&2; exit 2; }
  build sim_tests
  echo "sim: $count worlds, from seed $from"
  cd tests
  # The ten parts of the test case beside each other, as many as there are processors.
  log=$(mktemp -d)
  seq 0 9 | TANDEM_SEEDS=$count TANDEM_SEED_FROM=$from xargs -P "$(nproc)" -I{} sh -c \
    "../build/release/bin/sim_tests --gtest_brief=1 --gtest_filter='*/{}' >$log/{} 2>&1" || failed=1
  [[ $failed -eq 0 ]] || cat "$log"/*
  [[ $failed -eq 0 ]] && echo "sim: every promise was kept"
  rm -rf "$log"
  exit $failed
}

faults() {
  build fault_campaign
  cd tests && exec ../build/release/bin/fault_campaign "${1:-1000}" "${@:2}"
}

powercut() {
  build power_cut
  cd tests && exec ../build/release/bin/power_cut "${1:-20000}" --jobs 6000 "${@:2}"
}

soak() {
  build soak
  cd tests && exec ../build/release/bin/soak "${1:-60}" "${@:2}"
}

fuzz() {
  local name rounds=${1:-1000000}
  build protocol_fuzz fact_fuzz keys_fuzz broker_config_fuzz dispatcher_fuzz
  cd tests
  for name in protocol fact keys; do ../build/release/bin/${name}_fuzz "$rounds" "fuzz/samples/$name"; done
  # Each of these rounds is a file read twice, or a whole life.
  ../build/release/bin/dispatcher_fuzz $((rounds / 20 + 1)) fuzz/samples/dispatcher
  ../build/release/bin/broker_config_fuzz $((rounds / 100 + 1)) ../configs/broker.toml fuzz/samples/broker_config
}

everything=(sim faults powercut fuzz soak)

case ${1:-} in
  all)
    for one in "${everything[@]}"; do tests/nightly.sh "$one"; done
    ;;
  *)
    for one in "${everything[@]}"; do
      if [[ $one == "${1:-}" ]]; then "$@"; exit; fi
    done
    sed -nE 's/^# ?(  tests.*)/\1/p' tests/nightly.sh >&2
    exit 2
    ;;
esac
