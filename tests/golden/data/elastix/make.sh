#!/usr/bin/env bash
# The transforms beside this script: elastix 5.0.1 run by itself, with its own settings (tests/bench/data), on a
# patient and a template of the test data. usage: EPVS_TEST_DATA=DIR tests/golden/data/elastix/make.sh
set -euo pipefail
cd "$(dirname "$0")"
bench=../../../bench/data
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$bench/elastix_affine.txt" "$bench/elastix_bspline.txt" "$folder"
cd "$folder"
elastix -threads 2 -f "$EPVS_TEST_DATA/mni_space_patient/T2.nii.gz" \
  -m "$EPVS_TEST_DATA/mni152/MNI152_T2_1mm_brain.nii.gz" -p elastix_affine.txt -p elastix_bspline.txt -out . >/dev/null
cp TransformParameters.0.txt TransformParameters.1.txt "$OLDPWD"
