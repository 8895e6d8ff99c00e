// The quality-control folder beside a cohort and its table.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/table.h"
#include "data/prepare/inputs/exclusions.h"
#include "data/prepare/qc/qc_row.h"

namespace epvs::data {

/// cohort.h5 -> cohort_qc beside it.
std::filesystem::path qc_folder(const std::filesystem::path& out);
/// "sub-01_qc.png".
std::string qc_picture_name(const std::string& key);

/// failed.tsv in the QC folder of this cohort.
std::filesystem::path failures_path(const std::filesystem::path& out);

/// One line per scan and region, excluded ones last. `flag` is "check" where there is a `reason`,
/// else "ok", or "excluded". `volume_robust_z` and `sharpness_robust_z` are the modified z-scores
/// 0.6745 (v - median) / MAD within the region (Iglewicz & Hoaglin 1993), n/a below 5 scans; beyond
/// +-3.5 they are reasons. `exclude` is "no": a person may write "yes" and why, and give the table
/// to --exclude; such rows come back with what `exclusions` says of them, so that the new table can
/// be given to --exclude again.
core::Table qc_table(const std::vector<QcRow>& rows, const std::vector<ExcludedScan>& excluded = {},
                     const Exclusions& exclusions = {});

}  // namespace epvs::data
