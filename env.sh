# `source env.sh` (bash, zsh or a POSIX shell standing in the repository) lets a plain
# `go build ./... && go test ./...` find TensorFlow. Made for `make setup`'s .tensorflow; the run path
# in the binaries is absolute.
if [ -n "${BASH_SOURCE:-}" ]; then
  kerasrun_root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
else
  kerasrun_root=$(pwd)
fi
# Whoever sets CGO_CFLAGS replaces Go's default of -O2 -g.
export CGO_CFLAGS="-O2 -g -I$kerasrun_root/.tensorflow/include"
kerasrun_lib=$kerasrun_root/.tensorflow/lib
export CGO_LDFLAGS="-L$kerasrun_lib -ltensorflow -ltensorflow_framework -Wl,-rpath,$kerasrun_lib"
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"
unset kerasrun_root kerasrun_lib
