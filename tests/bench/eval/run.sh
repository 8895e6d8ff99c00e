#!/bin/sh
# Bootstrap benchmark: run.sh BUILD_FOLDER [scorers]. Needs python3, GNU time, Rscript with boot.
# 2000 participants, 3 regions, 10,000 resamples of every metric, BCa and percentile, on 2 threads.
set -eu
build=$1
scorers=${2:-4}
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 "$here/make_table.py" "$folder/table.tsv" 2000 "$scorers"
for pairs in reference all; do
  echo "epvs eval --pairs $pairs, $scorers scorers and the reference:"
  /usr/bin/time -f '  %e s elapsed, %U s processor, %M KiB' \
    "$build/bin/epvs" eval --scores "$folder/table.tsv" --reference rater1 --pairs "$pairs" \
    --bootstrap 10000 --threads 2 --quiet --out "$folder/$pairs" >/dev/null
done
echo "R boot, one pair in one region:"
Rscript "$here/boot_in_r.R" "$folder/table.tsv" 100
