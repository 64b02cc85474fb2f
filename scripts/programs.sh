#!/usr/bin/env bash
# Has the programs that tests start beside the project's own: Debian's Chromium, and promtool out of
# Debian's package of Prometheus, without its server, in .venv/bin. What is missing is installed
# where that may be; otherwise this says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v promtool >/dev/null || [ -x .venv/bin/promtool ] || missing+=(promtool)
[ ${#missing[@]} -gt 0 ] || exit 0

fail() {
	echo "programs: expected ${missing[*]}, found none and could not install: $1" >&2
	exit 1
}
[ "$(id -u)" = 0 ] || fail "not root"
command -v apt-get >/dev/null || fail "no apt-get"
echo "programs: installing ${missing[*]}"
log=$(apt-get update -qq 2>&1) || fail "$log"
for program in "${missing[@]}"; do
	case $program in
	chromium)
		log=$(DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium \
			2>&1) || fail "$log"
		;;
	promtool)
		scratch=$(mktemp -d)
		trap 'rm -rf "$scratch"' EXIT
		# apt's own user may not write there, which it says and does without
		log=$(cd "$scratch" && apt-get download -qq prometheus 2>&1) || fail "$log"
		dpkg-deb --fsys-tarfile "$scratch"/prometheus_*.deb | tar -xO ./usr/bin/promtool \
			>"$scratch/promtool"
		chmod +x "$scratch/promtool" && mv "$scratch/promtool" .venv/bin/promtool
		;;
	esac
done
