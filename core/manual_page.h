// --help as a manual page.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/command.h"

namespace epvs::core {

/// Options under one heading, by the name that they have on the command line.
struct ManualSection {
  std::string heading;
  std::vector<std::pair<std::string, const Parameter*>> options;
};

std::string manual_page(const Manual& manual, const std::vector<ManualSection>& sections);

}  // namespace epvs::core
