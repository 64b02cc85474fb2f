#!/usr/bin/env bash
# Builds the C of convolutions, regions and buffers with gcc's sanitizers and assert, and runs the
# tests of runner/internal/cpuconv/nativetest. It needs gcc and no TensorFlow. `make test-native`
# calls it.
set -euo pipefail
cd "$(dirname "$0")/.."
conv=runner/internal/cpuconv
tests=$conv/nativetest
runner=$(dirname "$(find runner -name buffer.c)")
CASES=${CASES:-500} # random convolutions, and regions, of each instruction set
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

fail() {
  echo "test-native: $*" >&2
  exit 1
}

has() { # FLAG...: of the processor
  for flag in "$@"; do grep -qw "$flag" /proc/cpuinfo || return 1; done
}

address="-fsanitize=address,undefined -fno-sanitize-recover=all"
thread="-fsanitize=thread"
emulate="-DKERASRUN_EMULATE_AVX512"

compile() { # SOURCE OBJECT FLAGS...
  local source=$1 object=$2
  shift 2
  "${CC:-gcc}" -std=gnu11 -g -O1 -fno-omit-frame-pointer -pthread -Wall -Wextra -Werror "$@" \
    -I "$runner" -I "$tests/stub" -c "$source" -o "$build/$object.o"
}

link() { # PROGRAM FLAGS OBJECTS
  (cd "$build" && "${CC:-gcc}" -pthread $2 -o "$1" $3 -lm)
}

must_fail() { # ERROR COMMAND...: a control, which the sanitizer has to end with this error
  local error=$1
  shift
  if "$@" >"$build/log" 2>&1; then fail "$*: expected $error, got no error"; fi
  grep -q "$error" "$build/log" || fail "$*: expected $error, got: $(cat "$build/log")"
}

[ "$(uname -sm)" = "Linux x86_64" ] || fail "expected Linux on x86_64, got $(uname -sm)"
has avx2 fma || fail "expected a processor with AVX2 and FMA, got none"

# ThreadSanitizer wants the addresses that it knows, which a kernel may place elsewhere.
fixed=()
if setarch -R true 2>/dev/null; then fixed=(setarch -R); fi

# The micro-kernels take most of the time: two compilers at once.
{
  compile $conv/f32_*_avx2_linux_amd64.c avx2_a $address
  compile $conv/qu8_*_avx2_linux_amd64.c qavx2_a $address
  compile $conv/qu8_*_avx512vnni_linux_amd64.c qvnni_a $address
  compile $conv/f32_*_avx512_linux_amd64.c emulated_a $address $emulate
} &
first=$!
{
  compile $conv/f32_*_avx512_linux_amd64.c avx512_a $address
  compile $conv/f32_*_avx2_linux_amd64.c avx2_t $thread
  compile $conv/qu8_*_avx2_linux_amd64.c qavx2_t $thread
  # The test of threads does not run these.
  compile $conv/f32_*_avx512_linux_amd64.c avx512_t
  compile $conv/qu8_*_avx512vnni_linux_amd64.c qvnni_t
  for kind in a t; do
    flags=$address
    [ $kind = a ] || flags=$thread
    for name in conv2d max_pool region threadpool; do
      compile $conv/${name}_linux_amd64.c ${name}_$kind $flags
    done
    for name in conv2d region quantized threadpool buffer; do
      compile "$tests/${name}_test.c" ${name}_test_$kind $flags
    done
    for name in buffer pages; do compile "$runner/$name.c" ${name}_$kind $flags; done
  done
} &
second=$!
wait $first
wait $second
for kind in a t; do
  flags=$address
  [ $kind = a ] || flags=$thread
  bytes="qavx2_$kind.o qvnni_$kind.o"
  common="conv2d_$kind.o max_pool_$kind.o threadpool_$kind.o avx2_$kind.o $bytes"
  link conv2d_$kind "$flags" "conv2d_test_$kind.o $common avx512_$kind.o"
  for name in region quantized; do
    link ${name}_$kind "$flags" "${name}_test_$kind.o region_$kind.o $common avx512_$kind.o"
  done
  link threadpool_$kind "$flags" "threadpool_test_$kind.o threadpool_$kind.o"
  link buffer_$kind "$flags" "buffer_test_$kind.o buffer_$kind.o pages_$kind.o"
done
common="conv2d_a.o max_pool_a.o threadpool_a.o avx2_a.o qavx2_a.o qvnni_a.o emulated_a.o"
link conv2d_emulated_a "$address" "conv2d_test_a.o $common"
link region_emulated_a "$address" "region_test_a.o region_a.o $common"

runs=("conv2d_a avx2" "conv2d_emulated_a avx512")
if has avx512f avx512vl avx512dq avx512bw; then
  runs+=("conv2d_a avx512")
else
  echo "test-native: no AVX-512 here: its code runs emulated by AVX2 alone"
fi
for run in "${runs[@]}"; do
  read -r program isa <<<"$run"
  case $program in *emulated*) how=" emulated by AVX2" ;; *) how="" ;; esac
  echo "address, undefined: $("$build/$program" "$isa" "$CASES")$how"
  for short in x filter packed bias y; do
    must_fail AddressSanitizer "$build/$program" "$isa" "short-$short"
  done
  region=region${program#conv2d}
  echo "address, undefined: $("$build/$region" "$isa" "$CASES")$how"
  for short in x filter bias y; do
    must_fail AddressSanitizer "$build/$region" "$isa" "short-$short"
  done
done
vectors="avx2"
if has avx512f avx512vl avx512dq avx512bw avx512_vnni; then
  vectors="avx2 avx512"
else
  echo "test-native: no AVX-512 VNNI here: its code does not run"
fi
for isa in $vectors; do
  echo "address, undefined: $("$build/quantized_a" "$isa" "$CASES")"
  for short in x filter bias y; do
    must_fail AddressSanitizer "$build/quantized_a" "$isa" "short-$short"
  done
done
echo "address, undefined: $("$build/threadpool_a")"
echo "address, undefined: $("$build/buffer_a")"
must_fail AddressSanitizer "$build/buffer_a" control
echo "thread: $("${fixed[@]}" "$build/conv2d_t" avx2 $((CASES / 10)))"
echo "thread: $("${fixed[@]}" "$build/region_t" avx2 $((CASES / 10)))"
echo "thread: $("${fixed[@]}" "$build/quantized_t" avx2 $((CASES / 10)))"
echo "thread: $("${fixed[@]}" "$build/threadpool_t")"
must_fail "data race" "${fixed[@]}" "$build/threadpool_t" control
echo "thread: $("${fixed[@]}" "$build/buffer_t")"
echo "test-native: passed; each control was caught"
