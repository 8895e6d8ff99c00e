// `epvs inspect COHORT --characteristics`: whom and what a cohort consists of, as in Table 1 of
// Dubost et al. (MLCN 2019), from the headers of its scans and a table of participants.
#pragma once

#include <filesystem>

#include "core/table.h"
#include "data/cohort/cohort.h"

namespace epvs::data {

/// One line per number (minimum, maximum, mean, sample standard deviation) or per level of a
/// category (count): `characteristic level unit of n count minimum maximum mean sd`. `of` says what
/// is counted, participants or scans; n is of how many of them the value is known. Scans stand in
/// several regions of a cohort but are counted once.
///
/// Age, sex and scanner come from the table (columns age or age_years, sex or gender, scanner),
/// voxel sizes from the headers, slice thickness, slice spacing, field strength and manufacturer
/// from the facts that the cohort has kept of BIDS sidecars (field_strength_t and manufacturer of
/// the table where there are none). What nobody knows has n = 0; nothing is guessed. Found, failed
/// and excluded scans with the reasons come from the cohort's provenance.
///
/// `participants` may be empty. Throws InputError when it lacks a participant of the cohort or has
/// one twice.
core::Table cohort_characteristics(const CohortReader& cohort,
                                   const std::filesystem::path& participants);

}  // namespace epvs::data
