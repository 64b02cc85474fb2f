#!/bin/sh
# Builds the images of deploy/Dockerfile and examples/service/Dockerfile and runs them as a user
# without rights on a read-only root, with 3 GiB. It needs root, podman, and the images that the
# Dockerfiles begin from. Where their registry is out of reach, STANDINS=1 makes them of Debian's
# packages (debootstrap) and of this machine's Go.
#   MODEL=DIR   the model in them (default models/resnext50)
set -eu
cd "$(dirname "$0")/.."
fail() { echo "test-image: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "want root, to make containers with a limit of memory"
command -v podman >/dev/null || fail "expected podman, found none: apt-get install podman"
model=${MODEL:-models/resnext50}
name=$(basename "$model")
dist=$(ls -d dist/kerasrun-*-linux-amd64)

# standin IMAGE PACKAGES makes an image by that name, of Debian with some packages.
standin() {
  podman image exists "$1" && return
  root=$(mktemp -d)
  debootstrap --variant=minbase --include="$2" bookworm "$root" >/dev/null
  if [ "$1" = golang:1.26-bookworm ]; then
    cp -a "$(go env GOROOT)" "$root/usr/local/go"
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/" # with this network's own
    change='ENV PATH=/usr/local/go/bin:/usr/bin:/bin'
  else
    change='CMD bash'
  fi
  tar -C "$root" -cf - . | podman import -q -c "$change" - "docker.io/library/$1" >/dev/null
  rm -rf --one-file-system "$root"
}
if [ -n "${STANDINS:-}" ]; then
  standin debian:12-slim ca-certificates
  standin golang:1.26-bookworm gcc,libc6-dev,git,ca-certificates
fi

container=
trap '[ -z "$container" ] || podman rm -f "$container" >/dev/null' EXIT
run="podman run --read-only --cap-drop ALL --memory 3g --network host"

# begin IMAGE ARGS starts a container, and sets address to where it listens.
begin() {
  # shellcheck disable=SC2086 # words
  container=$($run -d "$@")
  address=
  for _ in $(seq 300); do
    address=$(podman logs "$container" 2>&1 |
      sed -n 's/.*"msg":"listening","address":"\([^"]*\)".*/\1/p')
    [ -z "$address" ] || return 0
    sleep 0.2
  done
  fail "$1 does not listen: $(podman logs "$container" 2>&1)"
}

# end stops the container by SIGTERM, and wants status 0.
end() {
  podman stop -t 30 "$container" >/dev/null
  status=$(podman inspect -f '{{.State.ExitCode}}' "$container")
  [ "$status" = 0 ] || fail "after SIGTERM: status $status: $(podman logs "$container" 2>&1)"
  podman rm "$container" >/dev/null
  container=
}

size() { podman image inspect -f '{{.Size}}' "$1" | awk '{printf "%.0f MB", $1 / 1e6}'; }

podman build -q --pull=missing -f "$dist/deploy/Dockerfile" -t localhost/kerasrun "$dist" >/dev/null
echo "test-image: deploy/Dockerfile: $(size localhost/kerasrun)"
sum=$("$dist/bin/kerasrun" inspect "$model" | sed -n 's/^SHA-256 //p')
inside="--model /opt/kerasrun/models/$name --model-sha256 $sum"
# shellcheck disable=SC2086
$run --rm localhost/kerasrun verify $inside >/dev/null ||
  fail "the answers in the image are not Keras's"
want=$("$dist/bin/kerasrun" classify --model "$model" --format json \
  testdata/photos/cat.jpg 2>/dev/null |
  sed 's/"path":"[^"]*"//g')
# shellcheck disable=SC2086
got=$($run --rm -v "$PWD/testdata/photos/cat.jpg:/cat.jpg:ro" localhost/kerasrun classify $inside \
  --format json /cat.jpg 2>/dev/null | sed 's/"path":"[^"]*"//g')
[ "$got" = "$want" ] || fail "classify: want $want, got $got"
# shellcheck disable=SC2086
begin localhost/kerasrun serve $inside --addr 127.0.0.1:0 --drain-delay 0s --log-format json
curl -fsS --data-binary @testdata/photos/cat.jpg "http://$address/classify" | cut -c1-160
end

podman build -q --pull=missing --network host --build-arg MODEL="$model" \
  -f examples/service/Dockerfile -t localhost/label-service . >/dev/null
echo "test-image: examples/service/Dockerfile: $(size localhost/label-service)"
begin localhost/label-service -model-sha256 "$sum" -addr 127.0.0.1:0
curl -fsS --data-binary @testdata/photos/cat.jpg "http://$address/label"
end
echo "test-image: both images answer, and end by SIGTERM with status 0"
