#!/bin/sh
# Makes sparse.tar with GNU tar -S: gnu.bmp and huge.bmp (1 TiB) in GNU's old format, pax.bmp in
# PAX's. The images are 1024 x 1024 and almost all hole.
set -eu
out=$(cd "$(dirname "$0")" && pwd)/sparse.tar
dir=$(mktemp -d)
cd "$dir"
printf 'BM\066\000\060\000\000\000\000\000\066\000\000\000\050\000\000\000\000\004\000\000' > gnu.bmp
printf '\000\004\000\000\001\000\030\000\000\000\000\000\000\000\060\000' >> gnu.bmp
truncate -s 3145782 gnu.bmp
cp --sparse=always gnu.bmp pax.bmp
cp --sparse=always gnu.bmp huge.bmp
truncate -s 1T huge.bmp
head -c 2048 gnu.bmp > small.bmp
options="-S --owner=0 --group=0 --mtime=@0"
tar $options --format=gnu -cf gnu.tar gnu.bmp
tar $options --format=pax --pax-option=delete=atime,delete=ctime -cf pax.tar pax.bmp
tar $options --format=gnu -cf rest.tar huge.bmp small.bmp
tar -Af gnu.tar pax.tar
tar -Af gnu.tar rest.tar
mv gnu.tar "$out"
rm -r "$dir"
