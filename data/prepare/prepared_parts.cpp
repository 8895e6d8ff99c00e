#include "data/prepare/prepared_parts.h"

#include "core/error.h"
#include "core/hash.h"
#include "core/version.h"
#include "data/prepare/qc/qc.h"
#include "data/prepare/registration/transform_file.h"
#include "data/prepare/stages/read_scan.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// Raised when what a part or its picture holds changes within a version.
constexpr int kLayout = 4;

core::Json cso_numbers(const RegionTable& table) {
  return {table.cso().white_matter, table.cso().ventricles, table.cso().caudate};
}

/// Of the files that the user brought for this scan: one corrected by hand is read again.
core::Json transform_hashes(const fs::path& folder, const std::string& key) {
  core::Json hashes = core::Json::array();
  for (const fs::path& path : transforms_of(folder, key)) {
    hashes.push_back({path.filename().string(), core::sha256_file(path)});
  }
  return hashes;
}

}  // namespace

PreparedParts::PreparedParts(const CohortJob& job, const SharedInputs& shared)
    : job_(job), shared_(shared), folder_(job.out.string() + ".parts"), qc_(qc_folder(job.out)) {}

fs::path PreparedParts::volumes(const ScanInput& input) const {
  return folder_ / (input.key() + ".h5");
}

fs::path PreparedParts::record(const ScanInput& input) const {
  return folder_ / (input.key() + ".json");
}

fs::path PreparedParts::picture(const ScanInput& input) const {
  return qc_ / qc_picture_name(input.key());
}

std::vector<PreprocessingOptions> PreparedParts::regions_of(const ScanInput& input) const {
  std::vector<PreprocessingOptions> regions;
  for (const PreprocessingOptions& options : job_.regions) {
    if (!job_.exclusions.excludes(input, options.region)) regions.push_back(options);
  }
  return regions;
}

std::string PreparedParts::hash(const ScanInput& input) const {
  const PrepareOptions& options = shared_.options;
  core::Json document;
  document["version"] = core::kVersion;
  document["layout"] = kLayout;
  document["regions"] = core::Json::array();
  for (const PreprocessingOptions& region : regions_of(input)) {
    document["regions"].push_back(region.to_json());
  }
  document["rules"] = {core::to_text(options.label_interpolation),
                       core::to_text(options.labels_space),
                       options.cso_above_mm,
                       options.cso_slab_mm,
                       options.ac_mm,
                       options.float16,
                       options.transforms.string(),
                       options.assume_orientation,
                       core::to_text(options.atlas_registration),
                       cso_numbers(shared_.table),
                       cso_numbers(shared_.white_matter_table)};
  document["sources"] = shared_.sources;
  document["transforms"] = transform_hashes(options.transforms, input.key());
  document["scan"] = {input.scan.string(), core::sha256_file(input.scan)};
  document["facts"] = sidecar_facts(input.scan);
  if (!options.uses_atlas()) {
    document["labels"] = core::sha256_file(label_file(input, options.labels));
  }
  if (!options.white_matter.empty()) {
    document["white_matter"] = core::sha256_file(labels_of(input, options.white_matter));
  }
  if (options.labels_space == LabelsSpace::kT1w && !input.t1w.empty()) {
    document["t1w"] = core::sha256_file(input.t1w);
  }
  return core::sha256_text(document.dump());
}

bool PreparedParts::finished(const ScanInput& input) const {
  if (!fs::exists(record(input)) || !fs::exists(volumes(input)) || !fs::exists(picture(input))) {
    return false;
  }
  try {
    const core::Json document = core::read_json(record(input));
    return document.value("hash", std::string()) == hash(input) && document.contains("qc") &&
           document.at("missing").empty();
  } catch (const core::InputError&) {  // damaged, or the scan itself is unreadable: do it again
    return false;
  }
}

std::vector<QcRow> PreparedParts::qc_rows(const ScanInput& input) const {
  std::vector<QcRow> rows;
  const core::Json document = core::read_json(record(input));
  for (const core::Json& row : document.at("qc")) rows.push_back(QcRow::from_json(row));
  return rows;
}

core::Json PreparedParts::facts(const ScanInput& input) const {
  return core::read_json(record(input)).at("facts");
}

void PreparedParts::save(const ScanInput& input, const PreparedScan& scan,
                         const core::Json& provenance) const {
  std::vector<PreprocessingOptions> regions;
  for (const PreparedRegion& region : scan.regions) regions.push_back(region.options);
  std::error_code ignored;
  fs::remove(record(input), ignored);
  CohortWriter writer(volumes(input), regions, provenance, shared_.options.float16);
  for (const PreparedRegion& region : scan.regions) {
    writer.append(region.options.region, region.row, region.volumes);
  }
  writer.finish();
  write_png(picture(input), scan.picture, {{"Title", input.key()}, {"Software", "epvs prepare"}});
  for (const NamedTransform& transform : scan.transforms) {
    write_transform(qc_ / "transforms" / transform_file_name(input.key(), transform.name),
                    transform.matrix);
  }
  if (scan.deformation) {
    write_deformation(
        qc_ / "transforms" / transform_file_name(input.key(), "from-T2w_to-template_deformable"),
        *scan.deformation);
  }
  core::Json document;
  document["hash"] = hash(input);
  document["facts"] = scan.facts;
  document["qc"] = core::Json::array();
  for (const PreparedRegion& region : scan.regions) document["qc"].push_back(region.qc.to_json());
  document["missing"] = core::Json::array();
  for (const MissingRegion& region : scan.missing) document["missing"].push_back(region.region);
  core::write_json(record(input), document);
}

void PreparedParts::remove_all() const {
  fs::remove_all(folder_);
}

void PreparedParts::remove_empty() const {
  std::error_code ignored;
  fs::remove(folder_, ignored);
}

}  // namespace epvs::data
