#include "core/manual_page.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cctype>

#include "core/text.h"
#include "core/version.h"

namespace epvs::core {

namespace {

constexpr std::size_t kHelpWidth = 96;

std::string title(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  return terminal ? "\033[1m" + text + "\033[0m\n" : text + "\n";
}

std::string options_section(const ManualSection& section) {
  std::string page = title(section.heading);
  for (const auto& [name, parameter] : section.options) {
    const bool is_option = name.rfind("--", 0) == 0;
    page += "  " + name;
    if (is_option && !parameter->is_flag()) page += " " + parameter->placeholder();
    std::string text = parameter->help();
    const std::string constraint = parameter->constraint();
    if (!constraint.empty()) text += " (" + constraint + ")";
    page += "\n" + wrap(text, kHelpWidth, 8) + "\n";
  }
  return page + "\n";
}

std::string examples_section(const std::vector<Example>& examples) {
  std::string page = title("Examples");
  for (const Example& example : examples) {
    page += wrap(example.text, kHelpWidth, 2) + "\n      " + example.command + "\n";
  }
  return page + "\n";
}

}  // namespace

std::string manual_page(const Manual& manual, const std::vector<ManualSection>& sections) {
  std::string page = title("Name");
  page += fmt::format("  epvs {} - {}\n\n", manual.name, manual.summary);
  page += title("Synopsis") + wrap("epvs " + manual.name + " " + manual.synopsis, kHelpWidth, 2);
  page += "\n\n" + title("Description") + wrap(manual.description, kHelpWidth, 2) + "\n\n";
  for (const ManualSection& section : sections) page += options_section(section);
  if (!manual.examples.empty()) page += examples_section(manual.examples);
  page += title("Exit status");
  page +=
      "  0 done; 1 failure while running; 2 usage or configuration; 3 invalid input data;\n"
      "  4 done, but some participants failed; 130/143 stopped by INT/TERM\n";
  if (!manual.citations.empty()) {
    page += "\n" + title("Citations");
    for (const std::string& citation : manual.citations) {
      page += wrap(citation, kHelpWidth, 2) + "\n";
    }
  }
  page += fmt::format("\nepvs {} is research software, not a medical device.\n", kVersion);
  return page;
}

}  // namespace epvs::core
