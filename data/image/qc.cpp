#include "data/image/qc.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "core/error.h"
#include "core/text.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return 0.5 * (values[(n - 1) / 2] + values[n / 2]);
}

/// Iglewicz & Hoaglin's modified z-scores of the volumes, NaN for regions of fewer than 5 scans.
std::vector<double> robust_z(const std::vector<QcRow>& rows) {
  std::map<std::string, std::vector<double>> volumes;
  for (const QcRow& row : rows) volumes[row.region].push_back(row.volume_mm3);
  std::vector<double> z;
  for (const QcRow& row : rows) {
    const std::vector<double>& all = volumes[row.region];
    z.push_back(std::numeric_limits<double>::quiet_NaN());
    if (all.size() < 5) continue;
    const double middle = median(all);
    std::vector<double> distances;
    for (const double volume : all) distances.push_back(std::abs(volume - middle));
    const double spread = median(distances);
    if (spread > 0) z.back() = 0.6745 * (row.volume_mm3 - middle) / spread;
  }
  return z;
}

std::string rounded(double value, int digits) {
  if (!std::isfinite(value)) return core::kMissing;
  return fmt::format("{:.{}f}", value, digits);
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

}  // namespace

fs::path qc_folder(const fs::path& out) {
  return out.parent_path() / (out.stem().string() + "_qc");
}

std::string qc_picture_name(const std::string& key) {
  return key + "_qc.png";
}

core::Table qc_table(const std::vector<QcRow>& rows) {
  core::Table table({"participant_id", "session_id", "region", "volume_mm3", "volume_robust_z",
                     "label_volume_mm3", "cut_fraction", "edge_fraction", "outside_crop_fraction",
                     "intensity_min", "intensity_max", "mi_before", "mi_after", "overlap",
                     "seconds", "flag", "reason", "exclude"});
  const std::vector<double> z = robust_z(rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const QcRow& row = rows[i];
    std::vector<std::string> reasons = row.reasons;
    if (std::abs(z[i]) > 3.5) {
      reasons.push_back(
          fmt::format("volume is far from the cohort's median (robust z {:.1f})", z[i]));
    }
    table.add_row({row.participant_id, row.session_id, row.region, rounded(row.volume_mm3, 1),
                   rounded(z[i], 2), rounded(row.label_volume_mm3, 1), rounded(row.cut_fraction, 4),
                   rounded(row.edge_fraction, 4), rounded(row.outside_crop_fraction, 4),
                   core::format_number(row.intensity_min), core::format_number(row.intensity_max),
                   rounded(row.mi_before, 4), rounded(row.mi_after, 4), rounded(row.overlap, 3),
                   rounded(row.seconds, 2), reasons.empty() ? "ok" : "check",
                   core::join(reasons, "; "), "no"});
  }
  return table;
}

std::string qc_page(const std::string& title, const core::Table& table) {
  std::string page = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title>\n"
      "<style>body{{font:15px sans-serif;margin:2em;background:#111;color:#ddd}}"
      "table{{border-collapse:collapse;font-size:13px}}td,th{{padding:.2em .6em;text-align:right;"
      "border-bottom:1px solid #333}}td.text,th.text{{text-align:left}}tr.check{{color:#fb5}}"
      "img{{max-width:100%;display:block}}a{{color:inherit}}</style></head><body>\n<h1>{0}</h1>\n"
      "<p>Contours must lie on the structures. To leave a scan out, write <b>yes</b> into the "
      "column "
      "<b>exclude</b> of qc.tsv and run <code>epvs prepare</code> again with <code>--exclude "
      "qc.tsv</code>.</p>\n<table><tr>",
      escaped(title));
  const auto is_text = [](const std::string& column) {
    return column == "participant_id" || column == "session_id" || column == "region" ||
           column == "flag" || column == "reason";
  };
  for (const std::string& column : table.columns()) {
    page += fmt::format("<th{}>{}</th>", is_text(column) ? " class=\"text\"" : "", escaped(column));
  }
  page += "</tr>\n";
  std::vector<std::string> keys;
  std::vector<std::string> flagged;
  const std::size_t flag = table.index("flag");
  for (std::size_t row = 0; row < table.rows(); ++row) {
    ScanInput input;
    input.participant_id = table.cell(row, 0);
    if (!table.missing(row, 1)) input.session_id = table.cell(row, 1);
    const std::string key = input.key();
    const bool check = table.cell(row, flag) == "check";
    if (check && std::find(flagged.begin(), flagged.end(), key) == flagged.end()) {
      flagged.push_back(key);
    }
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
    page += check ? "<tr class=\"check\">" : "<tr>";
    for (std::size_t column = 0; column < table.columns().size(); ++column) {
      const std::string text = escaped(table.cell(row, column));
      page += fmt::format(
          "<td{}>{}</td>", is_text(table.columns()[column]) ? " class=\"text\"" : "",
          column == 0 ? fmt::format("<a href=\"#{0}\">{1}</a>", escaped(key), text) : text);
    }
    page += "</tr>\n";
  }
  page += "</table>\n";
  const auto show = [&page](const std::string& key, const std::string& note) {
    page += fmt::format(
        "<h2 id=\"{0}\">{0}{2}</h2><img loading=\"lazy\" alt=\"three planes of {0}\" "
        "src=\"{1}\">\n",
        escaped(key), escaped(qc_picture_name(key)), note);
  };
  for (const std::string& key : flagged) show(key, " (check)");
  for (const std::string& key : keys) {
    if (std::find(flagged.begin(), flagged.end(), key) == flagged.end()) show(key, "");
  }
  return page + "</body></html>\n";
}

Exclusions::Exclusions(const fs::path& path) {
  const core::Table table = core::Table::read(path);
  const auto cell = [&table](std::size_t row, const char* column) -> std::string {
    if (!table.has(column) || table.missing(row, table.index(column))) return {};
    return table.cell(row, column);
  };
  table.index("participant_id");
  table.index("exclude");
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::string word = core::lower(cell(row, "exclude"));
    if (word != "yes" && word != "no" && !word.empty()) {
      throw core::InputError(fmt::format("{}: exclude is '{}'; expected yes or no",
                                         table.where(row), cell(row, "exclude")));
    }
    if (word == "yes") {
      keys_.insert({cell(row, "participant_id"), cell(row, "session_id"), cell(row, "region")});
    }
  }
}

bool Exclusions::excludes(const ScanInput& input, const std::string& region) const {
  return std::any_of(keys_.begin(), keys_.end(), [&](const auto& key) {
    const auto& [participant, session, area] = key;
    return participant == input.participant_id &&
           (session.empty() || session == input.session_id) && (area.empty() || area == region);
  });
}

}  // namespace epvs::data
