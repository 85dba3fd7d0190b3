#!/usr/bin/env bash
# Checks that includes follow the arrows of the architecture: each folder may include only from the folders
# named here, and each library only from its home (DESIGN: one home each).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# folder: folders of ours it may include from, itself included (prefixes of paths).
arrows='
shared/base:              shared/base
shared/protocol:          shared/base shared/protocol
shared/net:               shared/base shared/protocol shared/net
shared/store:             shared/base shared/store
shared/config:            shared/base shared/config
shared/metrics:           shared/base shared/net shared/metrics
broker:                   shared broker
worker/engine:            shared/base worker/engine
worker/scheduler:         shared/base worker/engine worker/scheduler
worker/tasks:             shared/base shared/protocol shared/config worker/engine/tokenizer worker/engine/sampler worker/engine/constraint worker/engine/tokens.h worker/tasks
worker/cache:             shared/base shared/protocol shared/store worker/engine/tokens.h worker/tasks worker/cache
worker/cache/semantic:    shared/base shared/store worker/engine/tokenizer worker/cache/semantic
worker/frontend:          shared/base shared/protocol worker/engine worker/tasks worker/cache worker/scheduler worker/frontend
worker/session:           shared worker/frontend worker/session
worker:                   shared worker
client:                   shared client
'
# library header pattern: folders that may include it.
homes='
zmq:                      shared/net broker worker/session client
msgpack:                  shared/protocol
lmdb.h:                   shared/store
cblas.h:                  worker/engine/kernels
hwy/:                     worker/engine/kernels bench
spdlog/:                  shared/base
tl/expected:              shared/base
toml++:                   shared/config
xxhash.h:                 shared/base
utf8proc.h:               worker/engine/tokenizer
pcre2.h:                  worker/engine/tokenizer
hnswlib/:                 worker/cache/semantic
prometheus/:              shared/metrics
'
bad=0
complain() { echo "$1"; bad=1; }

while IFS= read -r file; do
  # The longest folder in the list that holds this file.
  allowed=
  best=
  while IFS=: read -r folder list; do
    [[ -z $folder ]] && continue
    if [[ $file == "$folder"/* && ${#folder} -gt ${#best} ]]; then best=$folder allowed=$list; fi
  done <<<"$arrows"

  while IFS= read -r include; do
    if [[ -n $best && $include =~ ^(shared|broker|worker|client|tests|bench)/ ]]; then
      good=0
      for prefix in $allowed; do [[ $include == "$prefix" || $include == "$prefix"/* ]] && good=1; done
      [[ $good -eq 1 ]] || complain "$file: includes $include, but $best may only include from:$allowed"
    fi
    while IFS=: read -r library list; do
      [[ -z $library || $include != "$library"* || $file == tests/* ]] && continue
      good=0
      for prefix in $list; do [[ $file == "$prefix"/* ]] && good=1; done
      [[ $good -eq 1 ]] || complain "$file: includes <$include>, whose home is:$list"
    done <<<"$homes"
  done < <(sed -nE 's/^#include [<"]([^>"]+)[>"].*/\1/p' "$file")
done < <(find shared broker worker client tests bench -name '*.h' -o -name '*.cc')

[[ $bad -eq 0 ]] && echo "layers: all includes follow the arrows"
exit $bad
