#!/bin/sh
# Makes .venv (pinned Python packages) and .tensorflow (headers and libraries for cgo). Run by `make setup`; safe to run again:
# what is up to date is left alone.
#   TENSORFLOW=cpu|gpu       which wheel: tensorflow-cpu (default) or tensorflow[and-cuda]
#   LIBTENSORFLOW=/dir       use an installed libtensorflow (/dir/include, /dir/lib) for Go instead of the wheel's
#   PYTHON=python3           the interpreter to make .venv from
set -eu
cd "$(dirname "$0")/.."
flavour=${TENSORFLOW:-cpu}
case $flavour in
  cpu) lock=requirements.txt ;;
  gpu) lock=requirements-gpu.txt ;;
  *) echo "setup: TENSORFLOW=$flavour: expected cpu or gpu" >&2; exit 2 ;;
esac

want="$flavour $(cksum <"$lock")"
if [ "$(cat .venv/installed 2>/dev/null)" != "$want" ]; then
  python=${PYTHON:-python3}
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "setup: $("$python" --version): expected Python 3.11 or newer; name one with PYTHON=" >&2; exit 1; }
  echo "setup: Python packages from $lock into .venv"
  rm -rf .venv
  "$python" -m venv .venv
  # --no-deps: the lock is complete, and tf-keras would pull a second TensorFlow.
  uv=$(command -v uv || { .venv/bin/pip install -q "$(grep '^uv==' "$lock" | cut -d' ' -f1)" >/dev/null 2>&1 && echo .venv/bin/uv; } || true)
  if [ -n "$uv" ]; then
    "$uv" pip install -q --no-deps --python .venv/bin/python -r "$lock"
  else
    .venv/bin/pip install -q --no-deps -r "$lock"
  fi
  echo "$want" >.venv/installed
fi

if [ -n "${LIBTENSORFLOW:-}" ]; then
  for f in include/tensorflow/c/c_api.h lib/libtensorflow.so lib/libtensorflow_framework.so; do
    [ -e "$LIBTENSORFLOW/$f" ] || { echo "setup: LIBTENSORFLOW=$LIBTENSORFLOW: expected $f there, found none" >&2; exit 1; }
  done
  include=$LIBTENSORFLOW/include; library=$LIBTENSORFLOW/lib/libtensorflow.so; framework=$LIBTENSORFLOW/lib/libtensorflow_framework.so
else
  wheel=$(.venv/bin/python -c 'import importlib.util as u; print(u.find_spec("tensorflow").submodule_search_locations[0])')
  include=$wheel/include; library=$wheel/libtensorflow_cc.so.2; framework=$wheel/libtensorflow_framework.so.2
fi
if [ "$(cat .tensorflow/installed 2>/dev/null)" != "$flavour $library" ]; then
  echo "setup: TensorFlow for cgo into .tensorflow, from $library"
  rm -rf .tensorflow
  mkdir -p .tensorflow/lib
  ln -s "$include" .tensorflow/include
  # The linker looks for the plain names, the loader for the libraries' own (their sonames).
  for f in "$(dirname "$library")"/libtensorflow*.so.*; do [ -e "$f" ] && ln -s "$f" .tensorflow/lib/; done
  # To link against the names of the C API takes an eighth of the time that the library's 800 MB do.
  nm -D --defined-only "$library" | sed -n 's/.* T \(\(TF\|TFE\|TSL\)_[A-Za-z0-9_]*\).*/.globl \1\n.type \1, %function\n\1:/p' |
    gcc -shared -nostdlib -x assembler -o .tensorflow/lib/libtensorflow.so \
      -Wl,-soname,"$(objdump -p "$library" | sed -n 's/ *SONAME *//p')" -
  ln -sf "$framework" .tensorflow/lib/libtensorflow_framework.so
  echo "$flavour $library" >.tensorflow/installed
fi
