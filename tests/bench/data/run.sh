#!/bin/sh
# Preparation benchmark: run.sh BUILD_FOLDER DATA_FOLDER [participant]
# One clinical scan with a T1w scan, three regions, on two threads: by the atlas route (affine to the template), and by labels
# in T1w space with preset p1 (rigid to the T1w and to the template); then the same registrations by the elastix program.
# Needs GNU time, elastix, python3 with numpy and nibabel (PYTHON names another).
set -eu
build=$1
data=$2
who=${3:-ms01}
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
anat=$data/clinical_bids/sub-$who/anat/sub-$who
template=$data/mni152/MNI152_T2_2mm.nii.gz
figures='  %e s elapsed, %U s processor, %M KiB'
measure() {
  name=$1
  shift
  echo "$name:"
  /usr/bin/time -f "$figures" "$@" >"$folder/out" 2>"$folder/err" || { cat "$folder/err"; exit 1; }
  tail -n 1 "$folder/err"
}
measure "epvs prepare, atlas route, three regions" \
  "$build/bin/epvs" prepare "$data/clinical_bids" "$folder/atlas.h5" --participant-label "$who" --threads 2 \
  --regions bg,hippocampi,cso --template "$template" --atlas "$data/mni152/Atlas_ROIs.2.nii.gz" \
  --atlas "$data/mni152/Avgwmparc.nii.gz"
"${PYTHON:-python3}" "$here/make_labels.py" "${anat}_T1w.nii.gz" \
  "$folder/atlas_qc/transforms/sub-${who}_from-T2w_to-template_affine_xfm.txt" "$folder/labels.nii.gz" \
  "$data/mni152/Atlas_ROIs.2.nii.gz" "$data/mni152/Avgwmparc.nii.gz"
printf 'participant_id\tt2w\tt1w\tlabels\nsub-%s\t%s_T2w.nii.gz\t%s_T1w.nii.gz\t%s\n' "$who" "$anat" "$anat" \
  "$folder/labels.nii.gz" >"$folder/scans.tsv"
measure "epvs prepare, labels of the T1w, preset p1 (rigid to T1w and template), three regions" \
  "$build/bin/epvs" prepare "$folder/scans.tsv" "$folder/labels.h5" --threads 2 --preset p1 \
  --regions bg,hippocampi,cso --labels-space t1w --template "$template"
mkdir "$folder/rigid" "$folder/affine"
measure "elastix, rigid, T2w <- T1w" \
  elastix -threads 2 -f "${anat}_T2w.nii.gz" -m "${anat}_T1w.nii.gz" -p "$here/elastix_rigid.txt" -out "$folder/rigid"
measure "elastix, affine, T2w <- template" \
  elastix -threads 2 -f "${anat}_T2w.nii.gz" -m "$template" -p "$here/elastix_affine.txt" -out "$folder/affine"
