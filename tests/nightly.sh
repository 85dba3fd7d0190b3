#!/usr/bin/env bash
# What takes too long for every commit. Builds what it needs, runs it, and ends with its summary and exit status.
#
#   tests/nightly.sh faults [KILLS]       1,000 kills of broker, workers and clients under load
#   tests/nightly.sh powercut [CUTS]      the journal as 20,000 power cuts would leave it
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
faults() {
  build fault_campaign
  cd tests && exec ../build/release/bin/fault_campaign "${1:-1000}" "${@:2}"
}

powercut() {
  build power_cut
  cd tests && exec ../build/release/bin/power_cut "${1:-20000}" --jobs 6000 "${@:2}"
}

everything=(faults powercut)

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
