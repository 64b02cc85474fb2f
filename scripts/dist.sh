#!/bin/sh
# Makes dist/kerasrun-VERSION-linux-ARCH and a tarball of it: the program, TensorFlow's two
# libraries, the model, and the licences of all of it. The program finds the libraries beside it, so
# the directory may lie anywhere. Run by `make dist`, after the model is exported.
set -eu
cd "$(dirname "$0")/.."
model=${MODEL:-models/resnext50}
version=$(cat internal/version/VERSION)
name=kerasrun-$version-linux-$(. ./env.sh && go env GOARCH)
out=dist/$name

rm -rf "$out" "$out.tar.gz"
mkdir -p "$out/bin" "$out/lib" "$out/models"

# env.sh's run path is this checkout's; the loader's $ORIGIN is the program's own folder.
# shellcheck disable=SC2016
(. ./env.sh && CGO_LDFLAGS="-L$PWD/.tensorflow/lib -ltensorflow -ltensorflow_framework" \
  go build -tags "$BUILD_TAGS" -trimpath -ldflags '-s -w -r $ORIGIN/../lib' \
  -o "$out/bin/kerasrun" ./cmd/kerasrun)

# The names that the program asks the loader for; what strip takes away only a debugger misses.
for library in libtensorflow.so libtensorflow_framework.so; do
  soname=$(readelf -d ".tensorflow/lib/$library" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
  strip --strip-unneeded -o "$out/lib/$soname" ".tensorflow/lib/$soname"
done

cp -rL "$model" "$out/models/"
cp -r LICENSE README.md CHANGELOG.md SECURITY.md docs deploy "$out/"
# They name the model and the version that are in the distribution.
sed -i "s:/opt/kerasrun/models/resnext50:/opt/kerasrun/models/$(basename "$model"):
  s/kerasrun:0\.1\.0/kerasrun:$version/" "$out"/deploy/*
.venv/bin/python scripts/licences.py "$out/licences"

epoch=$(git log -1 --format=%ct 2>/dev/null || echo 0)
mkdir -p "$out/share/man/man1"
SOURCE_DATE_EPOCH=$epoch "$out/bin/kerasrun" man --out "$out/share/man/man1"
find "$out" -exec touch -d "@$epoch" {} +
tar -C dist --sort=name --owner=0 --group=0 --numeric-owner --mode=go=u,go-w -cf - "$name" | gzip -n >"$out.tar.gz"
echo "dist: $out ($(du -sh "$out" | cut -f1)), $out.tar.gz ($(du -h "$out.tar.gz" | cut -f1))"
