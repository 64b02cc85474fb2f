#!/bin/sh
# Makes .venv (pinned Python packages) and .tensorflow (headers and libraries for cgo). Run by
# `make setup`; safe to run again: what is up to date is left alone.
#   TENSORFLOW=cpu|gpu       which wheel: tensorflow-cpu (at first) or tensorflow[and-cuda]
#   LIBTENSORFLOW=/dir       use an installed libtensorflow (/dir/include, /dir/lib) for Go instead of the wheel's; wheel: the wheel's
# Which of these two is not given stays as it was last given.
#   PYTHON=python3           the interpreter to make .venv from
#   OFFLINE=/dir             take Python packages from /dir/wheels, as `make offline` lays them there, and nothing from the network
set -eu
cd "$(dirname "$0")/.."
flavour=${TENSORFLOW:-$(cut -d' ' -f1 .venv/installed 2>/dev/null || true)}
flavour=${flavour:-cpu}
case $flavour in
  cpu) lock=requirements.txt ;;
  gpu) lock=requirements-gpu.txt ;;
  *) echo "setup: TENSORFLOW=$flavour: expected cpu or gpu" >&2; exit 2 ;;
esac
chosen=${LIBTENSORFLOW:-$(cat .tensorflow/chosen 2>/dev/null || echo wheel)}
if [ "$chosen" != wheel ]; then
  for f in include/tensorflow/c/c_api.h lib/libtensorflow.so lib/libtensorflow_framework.so; do
    [ -e "$chosen/$f" ] || { echo "setup: LIBTENSORFLOW=$chosen: expected $f there, found none" >&2; exit 1; }
  done
  chosen=$(cd "$chosen" && pwd)
fi
set -- # the options of pip and uv that say where packages come from
if [ -n "${OFFLINE:-}" ]; then
  [ -d "$OFFLINE/wheels" ] || { echo "setup: OFFLINE=$OFFLINE: expected the folder wheels there, found none" >&2; exit 1; }
  set -- --no-index --find-links "$OFFLINE/wheels"
fi

want="$flavour $(cat "$lock" requirements-nodeps.txt | cksum)"
if [ "$(cat .venv/installed 2>/dev/null)" != "$want" ]; then
  python=${PYTHON:-python3}
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "setup: $("$python" --version): expected Python 3.11 or newer; name one with PYTHON=" >&2; exit 1; }
  echo "setup: Python packages from $lock into .venv"
  rm -rf .venv
  "$python" -m venv .venv
  # --no-deps: the lock is complete, and tf-keras would pull a second TensorFlow. Of requirements-nodeps.txt nothing runs.
  uv=$(command -v uv || { .venv/bin/pip install -q "$@" "$(grep '^uv==' "$lock" | cut -d' ' -f1)" >/dev/null 2>&1 && echo .venv/bin/uv; } || true)
  if [ -n "$uv" ]; then
    "$uv" pip install -q --no-deps "$@" --python .venv/bin/python -r "$lock" -r requirements-nodeps.txt
  else
    .venv/bin/pip install -q --no-deps "$@" -r "$lock" -r requirements-nodeps.txt
  fi
  echo "$want" >.venv/installed
fi
want=$(cat tools/pyproject.toml tools/batch/pyproject.toml | cksum)
if [ "$(cat .venv/installed-exporter 2>/dev/null)" != "$want" ]; then
  echo "setup: the exporter and kerasrun_batch from tools into .venv"
  # Editable: what changes in the tree needs no setup. Without isolation: setuptools is in the lock, offline too.
  .venv/bin/uv pip install -q --no-deps --no-build-isolation "$@" --python .venv/bin/python \
    -e ./tools -e ./tools/batch
  echo "$want" >.venv/installed-exporter
fi

# cmd/libtensorflow lays out for cgo what is installed already: the wheel's libraries, or LIBTENSORFLOW's.
from=$chosen
cuda=
if [ "$chosen" = wheel ]; then
  from=$(.venv/bin/python -c 'import importlib.util as u; print(u.find_spec("tensorflow").submodule_search_locations[0])')
  cuda=$(dirname "$from")/nvidia
fi
want="$from $(cat .venv/installed scripts/setup.sh cmd/libtensorflow/*.go | cksum)"
if [ "$(cat .tensorflow/installed 2>/dev/null)" != "$want" ]; then
  echo "setup: TensorFlow for cgo into .tensorflow, from $from"
  [ -z "${OFFLINE:-}" ] || export GOTOOLCHAIN=local
  rm -rf .tensorflow
  go run ./cmd/libtensorflow --out .tensorflow --from "$from" >/dev/null
  # The wheel's libraries look for CUDA's beside them, from where the loader found them: in .tensorflow/lib/../nvidia. For
  # libcusolver they have no path of their own, so it is put where they look for TensorRT, which TensorFlow no longer uses.
  if [ -d "$cuda" ]; then
    ln -s "$cuda" .tensorflow/nvidia
    ln -s "$cuda/cusolver/lib" .tensorflow/tensorrt
  fi
  echo "$chosen" >.tensorflow/chosen
  echo "$want" >.tensorflow/installed
fi
