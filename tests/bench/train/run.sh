#!/bin/sh
# Full-size steps of epvs and of eager PyTorch, in turns: run.sh BUILD_FOLDER [threads] [repeats] [rounds].
# Needs the target bench_step and python3 with torch. Prints TSV: library, architecture, what, precision,
# threads, median seconds, least seconds, peak memory of the process in GiB.
set -eu
build=$1
threads=${2:-2}
repeats=${3:-3}
rounds=${4:-1}
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-/usr/bin/python3}
printf 'library\tarchitecture\twhat\tprecision\tthreads\tmedian_s\tleast_s\tpeak_gib\n'
round=0
while [ "$round" -lt "$rounds" ]; do
  round=$((round + 1))
  for architecture in media2019 gp_unet; do
    for what in forward step; do
      "$build/tests/bench_step" $architecture $what float32 "$repeats" "$threads" 84 128 168
      "$python" "$here/step_in_pytorch.py" $architecture $what float32 "$repeats" "$threads" 84 128 168
    done
    "$build/tests/bench_step" $architecture step bf16 "$repeats" "$threads" 84 128 168
  done
  "$build/tests/bench_step" media2019 optimizer float32 20 "$threads" 84 128 168
  "$python" "$here/step_in_pytorch.py" media2019 optimizer float32 20 "$threads" 84 128 168
done
