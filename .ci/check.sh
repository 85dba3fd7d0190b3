#!/usr/bin/env bash
# Before a commit is offered: formatting, include directions, then everything .ci/run does. `--tidy` adds clang-tidy
# over the files that differ from the main branch (slow).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1:-} in
  '' | --tidy) ;;
  *) echo "usage: .ci/check.sh [--tidy]" >&2; exit 2 ;;
esac
git ls-files '*.h' '*.cc' | xargs clang-format --dry-run -Werror
if [[ ${1:-} == --tidy ]]; then
  cmake --preset release >/dev/null
  git diff --name-only --diff-filter=d origin/main -- '*.cc' | xargs -r clang-tidy -p build/release --quiet
fi
exec .ci/run
