// What all scans of a run share: the template and its atlases, read and checked once.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/prepare/prepare_options.h"

namespace epvs::data {

struct Atlas {
  std::string path;
  std::shared_ptr<const Volume<std::int32_t>> labels;
};

struct SharedInputs {
  PrepareOptions options;
  RegionTable table;               ///< numbers of the label maps or atlases
  RegionTable white_matter_table;  ///< numbers of --white-matter
  std::optional<Volume<float>> template_scan;
  std::vector<Atlas> atlases;
  core::Json sources;  ///< hashes of template and atlases, elastix: what a scan's result depends on
  std::vector<std::string> concerns;  ///< what is odd about them, to be said once
};

/// Throws InputError: unreadable files, an atlas without labels or outside the template's field of
/// view; UsageError: an unknown label table, no elastix although scans have to be registered.
SharedInputs read_shared_inputs(const PrepareOptions& options);

}  // namespace epvs::data
