// Templates and atlases by name, in the folders of FSL and TemplateFlow.
//
//   fsl:NAME                      $FSLDIR/data/standard/NAME.nii.gz, and for atlases also
//                                 $FSLDIR/data/atlases/*/NAME.nii.gz
//   templateflow:SPACE[:SUFFIX]   template: tpl-SPACE/tpl-SPACE[_res-NN]_SUFFIX.nii.gz; without
//   SUFFIX
//                                 T2w, or else T1w
//   templateflow:SPACE:ATLAS[:DESC]  atlas: tpl-SPACE/tpl-SPACE[_res-NN]_atlas-ATLAS[_desc-DESC]
//                                 _dseg.nii.gz and the same name with .tsv (mostly without res-)
// TemplateFlow's folder is $TEMPLATEFLOW_HOME, or ~/.cache/templateflow. Of several resolutions
// that with the lowest number is taken, 1 before 2. TemplateFlow lists files before it fetches
// them: an empty file counts as missing.
#pragma once

#include <filesystem>
#include <string>

namespace epvs::data {

struct NamedAtlas {
  std::filesystem::path path;
  std::string lut;  ///< harvardoxford, the .tsv, or empty when nothing is known
};

/// A text without "fsl:" or "templateflow:" is a path and comes back as it is. Throws UsageError
/// when the folder is not known or the name is malformed, InputError naming every file that was
/// looked for when none is there.
std::filesystem::path find_named_template(const std::string& text);
NamedAtlas find_named_atlas(const std::string& text);

}  // namespace epvs::data
