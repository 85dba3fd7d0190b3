#!/usr/bin/env bash
# From a fresh clone to answers: installs the Debian packages that are missing, builds, starts a broker and a worker
# with the demonstration model, runs sample texts through them and shows what came back. Stops what it started.
# Run it again: the answers come from the cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }
[[ -t 2 && -z ${NO_COLOR:-} ]] || say() { printf '\n%s\n' "$*" >&2; }

case ${1:-} in
  '') ;;
  -h | --help) sed -n '2,4s/^# //p' "${BASH_SOURCE[0]}"; exit 0 ;;
  *) echo "quickstart.sh takes no arguments, found '$1'" >&2; exit 2 ;;
esac

say "1/4  Packages"
.ci/install_packages.sh
echo "all there" >&2

say "2/4  Building (a few minutes the first time)"
cmake --preset release >/dev/null
cmake --build --preset release --target tandem tandem-broker tandem-worker
bin=$PWD/build/release/bin

say "3/4  Starting a broker and a worker with the demonstration model"
home=$PWD/build/quickstart # journal, logs and cache of this demonstration; delete it to begin afresh
mkdir -p "$home"
run=$(mktemp -d "${TMPDIR:-/tmp}/tandem-XXXXXX") # sockets: their paths must be short
broker= worker=
finish() {
  local status=$?
  trap - EXIT INT TERM
  [[ -z $worker ]] || kill "$worker" 2>/dev/null || true
  [[ -z $worker ]] || wait "$worker" 2>/dev/null || true
  [[ -z $broker ]] || kill "$broker" 2>/dev/null || true
  [[ -z $broker ]] || wait "$broker" 2>/dev/null || true
  rm -rf "$run"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

export TANDEM_RUN_DIR=$run
"$bin/tandem-broker" --config configs/broker.toml --set "journal.folder=$home/journal" \
  >"$run/broker.out" 2>"$home/broker.log" &
broker=$!
"$bin/tandem-worker" --config configs/worker.toml --set "cache.folder=$home/cache" --set "engine.packed_folder=$home/weights" \
  >"$run/worker.out" 2>"$home/worker.log" &
worker=$!
for part in broker worker; do
  for ((i = 0; i < 300; ++i)); do
    grep -q '^ready' "$run/$part.out" 2>/dev/null && break
    kill -0 "${!part}" 2>/dev/null || break
    sleep 0.1
  done
  if ! grep -q '^ready' "$run/$part.out"; then
    echo "the $part did not start; its log, build/quickstart/$part.log, ends with:" >&2
    tail -n 5 "$home/$part.log" >&2
    exit 1
  fi
done
echo "broker $broker, worker $worker; logs in build/quickstart/" >&2

say "4/4  Sample texts in, sentiment and replies out"
"$bin/tandem" run configs/samples/reviews.jsonl -o "$home/answers.jsonl" --force --config configs/client.toml
"$bin/tandem" show "$home/answers.jsonl"

cat >&2 <<END

What next:
  ./configs/quickstart.sh                                    again: now the answers come from the cache
  build/release/bin/tandem submit --task sentiment "I love it"
  build/release/bin/tandem chat                              talk to it
  build/release/bin/tandem run FILE.jsonl -o OUT.jsonl       your own texts: {"text": "..."} a line
  ... --model /path/to/Qwen1.5-0.5B-Chat                     the real thing instead of the demonstration model
END
