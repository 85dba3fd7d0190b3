#!/usr/bin/env bash
# Builds the innermost loops and their tests for 64-bit ARM and runs them under emulation: NEON instead of AVX.
# Needs Debian's g++-aarch64-linux-gnu, qemu-user-static, libgtest-dev and libhwy-dev; takes half a minute.
#
#   tests/arm_kernels.sh [gtest options...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for command in aarch64-linux-gnu-g++ qemu-aarch64-static; do
  command -v "$command" >/dev/null || {
    echo "$0: no $command: install g++-aarch64-linux-gnu and qemu-user-static" >&2
    exit 2
  }
done

build=build/arm
gtest=/usr/src/googletest/googletest
mkdir -p "$build/include"
ln -sfn /usr/include/hwy "$build/include/hwy" # headers alone: /usr/include itself belongs to this machine's CPU

sources=(
  worker/engine/kernels/{simd,thread_pool}.cc
  shared/base/assert.cc
  worker/engine/tensor/element_type.cc
  tests/engine/kernels/{tile_float,tile_q8,row_ops,thread_pool}_test.cc
  "$gtest"/src/gtest-all.cc "$gtest"/src/gtest_main.cc
)
objects=()
for source in "${sources[@]}"; do
  object="$build/$(basename "$source" .cc).o"
  aarch64-linux-gnu-g++ -std=c++20 -O2 -ffp-contract=off -I. -I"$build/include" -I"$gtest/include" -I"$gtest" \
    -c "$source" -o "$object"
  objects+=("$object")
done
aarch64-linux-gnu-g++ -static "${objects[@]}" -o "$build/kernel_tests" -lpthread
exec qemu-aarch64-static "$build/kernel_tests" --gtest_brief=1 "$@"
