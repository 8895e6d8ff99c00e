// The steps of one scan's FROC curve, for detection.cpp.
#pragma once

#include <vector>

#include "eval/detection.h"

namespace epvs::eval {

/// Adding this detection to all surer ones adds one hit, or one false positive.
struct DetectionEvent {
  double weight = 0.0;
  bool is_hit = false;
};

/// In order of falling weight.
std::vector<DetectionEvent> detection_events(const DetectionScan& scan, double radius_mm);

}  // namespace epvs::eval
