#!/usr/bin/env bash
# The README's first command as a new user runs it, twice: answers the first time, the same from the cache the second.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rm -rf build/quickstart
rows=$(wc -l <configs/samples/reviews.jsonl)
first=$(./configs/quickstart.sh 2>&1) || { echo "$first"; exit 1; }
second=$(./configs/quickstart.sh 2>&1) || { echo "$second"; exit 1; }
grep -q "$rows rows, 0 failed" <<<"$first" || { echo "$first"; echo "expected $rows rows, none failed"; exit 1; }
# An answer that was cut off at its limit is not kept, so a row or two may be asked again.
cached=$(sed -nE 's/.*rows, 0 failed, ([0-9]+) cached.*/\1/p' <<<"$second")
[[ ${cached:-0} -ge $((rows * 3 / 4)) ]] || { echo "$second"; echo "expected the second run to answer from the cache"; exit 1; }
if pgrep -f "$PWD/build/release/bin/tandem-(broker|worker)" >/dev/null; then
  echo "quickstart.sh left a program running"
  exit 1
fi
echo "quickstart: $rows rows, then $cached of them from the cache"
