// What can be chosen about implanted EPVS.
#pragma once

#include <cstdint>
#include <vector>

#include "core/parameters.h"

namespace epvs::data {

struct ImplantOptions {
  /// EPVS added to every region, one scan of the series for each; ascending, all different.
  std::vector<std::int64_t> counts = {0, 5, 10, 15};
  std::vector<double> length_mm = {3.0, 15.0};  ///< of the centre line, uniform
  /// In the middle of the length; log-normal about the geometric mean, two standard deviations to
  /// either end, where it is cut.
  std::vector<double> diameter_mm = {0.5, 3.0};
  /// Part of the way from the scan's white matter to its CSF that an EPVS adds to its tissue,
  /// uniform. The PVSDRO phantom (Bernal et al., Magn Reson Imaging 93:33, 2022) has EPVS 2.0 to
  /// 2.7 times as bright as white matter where CSF is 5.7 times as bright: 0.21 to 0.36.
  std::vector<double> contrast = {0.2, 0.4};
  double gap_mm = 2.0;  ///< between the surfaces of two EPVS; a slice counts as this much at most

  void declare(core::ParameterTable& table);
  /// Throws UsageError naming option, value and violated constraint.
  void validate() const;
};

}  // namespace epvs::data
