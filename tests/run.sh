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

.ci/install_packages.sh
cmake --preset "$preset" >/dev/null
cmake --build --preset "$preset"
exec ctest --preset "$preset" --parallel "$(nproc)" "$@"
