#include "data/prepare/qc/qc_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/algorithm/string/replace.hpp>
#include <cmath>
#include <map>

#include "core/text.h"
#include "data/prepare/inputs/inputs.h"
#include "data/prepare/qc/qc.h"

namespace epvs::data {

namespace {

constexpr const char* kStyle = R"(
:root{color-scheme:dark}
body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;padding:1.5em 2em 4em;max-width:1180px;background:#121216;color:#ddd}
h1{font-size:1.5em;margin:.2em 0}h2{font-size:1.15em;margin:2em 0 .5em}h3{font-size:1em;margin:1.8em 0 .3em}
a{color:#8cc8ff}.amber{color:#fb5}.faint{color:#99a}
ul.counts{display:flex;flex-wrap:wrap;gap:.7em;padding:0;list-style:none;margin:1em 0}
ul.counts li{background:#22222a;border-radius:.4em;padding:.4em .9em}ul.counts b{font-size:1.35em;margin-right:.25em}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:13px}
td,th{padding:.25em .6em;text-align:right;border-bottom:1px solid #2c2c34;white-space:nowrap;vertical-align:top}
th{white-space:normal;vertical-align:bottom;position:sticky;top:0;background:#121216;color:#99a;font-weight:600}
td.text,th.text{text-align:left}td.reason{text-align:left;white-space:normal}
tr.check td{color:#fb5}tr.excluded td{color:#889}
figure{margin:0}img{max-width:100%;height:auto;display:block;background:#1c1c22}
svg text{fill:#99a;font:12px system-ui,sans-serif}svg circle{fill:#8cc8ff;fill-opacity:.75}svg circle.check{fill:#fb5}
svg line{stroke:#3a3a44}.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(430px,1fr));gap:.4em 1.5em}
#only:checked~table tr.ok,#only:checked~.wide tr.ok,#only:checked~section.ok{display:none}
)";

std::string escaped(std::string text) {
  boost::replace_all(text, "&", "&amp;");
  boost::replace_all(text, "<", "&lt;");
  boost::replace_all(text, ">", "&gt;");
  boost::replace_all(text, "\"", "&quot;");
  return text;
}

/// Percent-encoded where a relative address needs it.
std::string address(const std::string& name) {
  std::string result;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = std::isalnum(byte) != 0 || c == '-' || c == '_' || c == '.' || c == '~';
    result += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return result;
}

struct Column {
  const char* name;
  const char* title;
  bool text;
};

constexpr Column kColumns[] = {{"participant_id", "participant", true},
                               {"session_id", "session", true},
                               {"region", "region", true},
                               {"flag", "flag", true},
                               {"reason", "reason", true},
                               {"volume_mm3", "volume, mm3", false},
                               {"volume_robust_z", "robust z", false},
                               {"sharpness_per_mm", "sharpness, 1/mm", false},
                               {"sharpness_robust_z", "robust z", false},
                               {"mi_before", "MI before, nats", false},
                               {"mi_after", "MI after, nats", false},
                               {"cut_fraction", "outside the scan", false},
                               {"edge_fraction", "at its edge", false},
                               {"outside_crop_fraction", "outside the crop", false}};

/// One scan of the table: its rows, and the worst of their flags.
struct Entry {
  std::string key;
  std::string flag;  ///< check, ok or excluded
  std::vector<std::size_t> rows;
};

int rank(const std::string& flag) {
  if (flag == "check") return 0;
  return flag == "ok" ? 1 : 2;
}

/// Flagged scans first, then those in order, excluded ones last; the table's order within each.
std::vector<Entry> entries_of(const core::Table& table) {
  std::vector<Entry> entries;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    ScanInput input;
    input.participant_id = table.cell(row, "participant_id");
    if (!table.missing(row, table.index("session_id"))) {
      input.session_id = table.cell(row, "session_id");
    }
    const std::string key = input.key();
    const std::string flag = table.cell(row, "flag");
    auto found = std::find_if(entries.begin(), entries.end(),
                              [&](const Entry& entry) { return entry.key == key; });
    if (found == entries.end()) {
      entries.push_back({key, flag, {}});
      found = std::prev(entries.end());
    }
    if (rank(flag) < rank(found->flag)) found->flag = flag;
    found->rows.push_back(row);
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return rank(a.flag) < rank(b.flag); });
  return entries;
}

std::string counts(const QcPage& page, const std::vector<Entry>& entries) {
  const auto with = [&entries](const char* flag) {
    return std::count_if(entries.begin(), entries.end(),
                         [flag](const Entry& entry) { return entry.flag == flag; });
  };
  const auto item = [](auto count, const char* words, bool amber) {
    return fmt::format("<li{}><b>{}</b>{}</li>\n", amber && count > 0 ? " class=\"amber\"" : "",
                       count, words);
  };
  std::string html = "<ul class=\"counts\">\n";
  if (page.scans_found > 0) html += item(page.scans_found, "scans found", false);
  html += item(with("check") + with("ok"), "in the cohort", false);
  html += item(with("check"), "to check", true);
  html += item(with("excluded"), "excluded", false);
  html += item(page.failures.size(), "failed", true);
  return html + "</ul>\n";
}

std::string failures(const QcPage& page) {
  if (page.failures.empty()) return {};
  std::string html =
      "<h2>Failed</h2>\n<p>These scans are not in the cohort (<a href=\"failed.tsv\">failed.tsv</a>"
      ").</p>\n<table><tr><th class=\"text\">scan</th><th class=\"text\">what was "
      "wrong</th></tr>\n";
  for (const auto& [key, error] : page.failures) {
    html += fmt::format("<tr><td class=\"text\">{}</td><td class=\"reason\">{}</td></tr>\n",
                        escaped(key), escaped(error));
  }
  return html + "</table>\n";
}

/// How many regions of scans were excluded for which reason.
std::string exclusions(const core::Table& table, const std::vector<Entry>& entries) {
  std::map<std::string, std::set<std::string>> scans_by_reason;
  for (const Entry& entry : entries) {
    for (const std::size_t row : entry.rows) {
      if (table.cell(row, "flag") != "excluded") continue;
      scans_by_reason[table.cell(row, "exclude_reason")].insert(entry.key + " " +
                                                                table.cell(row, "region"));
    }
  }
  if (scans_by_reason.empty()) return {};
  std::string html =
      "<h2>Excluded</h2>\n"
      "<table><tr><th class=\"text\">reason</th><th>n</th><th class=\"text\">scan and "
      "region</th></tr>\n";
  for (const auto& [reason, scans] : scans_by_reason) {
    html += fmt::format(
        "<tr><td class=\"reason\">{}</td><td>{}</td><td class=\"reason\">{}</td></tr>\n",
        escaped(reason), scans.size(),
        escaped(core::join(std::vector<std::string>(scans.begin(), scans.end()), ", ")));
  }
  return html + "</table>\n";
}

/// A dot per scan along one axis; nothing for fewer than two scans.
std::string plot(const core::Table& table, const std::vector<Entry>& entries,
                 const std::string& region, const std::string& column, const std::string& title,
                 int digits) {
  constexpr double kWidth = 430;
  constexpr double kPad = 14;
  struct Dot {
    std::string key;
    double value;
    bool check;
  };
  std::vector<Dot> dots;
  for (const Entry& entry : entries) {
    for (const std::size_t row : entry.rows) {
      if (table.cell(row, "region") != region || table.cell(row, "flag") == "excluded") continue;
      const double value = table.number(row, column);
      if (std::isfinite(value)) {
        dots.push_back({entry.key, value, table.cell(row, "flag") == "check"});
      }
    }
  }
  if (dots.size() < 2) return {};
  const auto [low, high] = std::minmax_element(
      dots.begin(), dots.end(), [](const Dot& a, const Dot& b) { return a.value < b.value; });
  const double least = low->value;
  const double range = high->value > least ? high->value - least : 1.0;
  std::string html = fmt::format(
      "<svg viewBox=\"0 0 {0} 62\" role=\"img\" aria-label=\"{1}\"><text x=\"{2}\" y=\"13\">{1}"
      "</text><line x1=\"{2}\" y1=\"34\" x2=\"{3}\" y2=\"34\"/>",
      kWidth, escaped(title), kPad, kWidth - kPad);
  for (const Dot& dot : dots) {
    const double x = kPad + (dot.value - least) / range * (kWidth - 2 * kPad);
    html += fmt::format(
        "<a href=\"#{0}\"><circle{1} cx=\"{2:.1f}\" cy=\"34\" r=\"5\"><title>{3}: {4:.{5}f}</title>"
        "</circle></a>",
        address(dot.key), dot.check ? " class=\"check\"" : "", x, escaped(dot.key), dot.value,
        digits);
  }
  html += fmt::format(
      "<text x=\"{0}\" y=\"57\">{1:.{4}f}</text><text x=\"{2}\" y=\"57\" "
      "text-anchor=\"end\">{3:.{4}f}</text></svg>\n",
      kPad, least, kWidth - kPad, high->value, digits);
  return html;
}

std::string plots(const core::Table& table, const std::vector<Entry>& entries) {
  std::vector<std::string> regions;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::string& region = table.cell(row, "region");
    if (std::find(regions.begin(), regions.end(), region) == regions.end()) {
      regions.push_back(region);
    }
  }
  std::string html;
  for (const std::string& region : regions) {
    html += plot(table, entries, region, "volume_mm3", region + ": volume, mm3", 0);
    html += plot(table, entries, region, "sharpness_per_mm",
                 region + ": sharpness of the scan there, 1/mm", 3);
  }
  if (html.empty()) return {};
  return "<h2>The cohort</h2>\n<p class=\"faint\">A dot is a scan; click it to see its picture.</p>"
         "\n<div class=\"plots\">\n" +
         html + "</div>\n";
}

std::string rows_of(const core::Table& table, const std::vector<Entry>& entries) {
  std::string html = "<div class=\"wide\"><table><tr>";
  for (const Column& column : kColumns) {
    html += fmt::format("<th{}>{}</th>", column.text ? " class=\"text\"" : "", column.title);
  }
  html += "</tr>\n";
  for (const Entry& entry : entries) {
    for (const std::size_t row : entry.rows) {
      html += fmt::format("<tr class=\"{}\">", escaped(table.cell(row, "flag")));
      for (const Column& column : kColumns) {
        const std::string name = column.name;
        std::string text = table.cell(row, name);
        if (name == "reason" && table.cell(row, "flag") == "excluded") {
          text = table.cell(row, "exclude_reason");
        }
        if (text == core::kMissing) text = name == "reason" ? "" : "–";
        text = escaped(text);
        if (name == "participant_id") {
          text = fmt::format("<a href=\"#{}\">{}</a>", address(entry.key), text);
        }
        html += fmt::format("<td{}>{}</td>",
                            name == "reason" ? " class=\"reason\""
                            : column.text    ? " class=\"text\""
                                             : "",
                            text);
      }
      html += "</tr>\n";
    }
  }
  return html + "</table></div>\n";
}

std::string picture(const QcPage& page, const core::Table& table, const Entry& entry) {
  std::string notes;
  for (const std::size_t row : entry.rows) {
    const std::string& flag = table.cell(row, "flag");
    if (flag == "ok") continue;
    notes +=
        fmt::format("<br><span class=\"{}\">{}: {}</span>", flag == "check" ? "amber" : "faint",
                    escaped(table.cell(row, "region")),
                    escaped((flag == "excluded" ? "excluded: " : "") +
                            table.cell(row, flag == "excluded" ? "exclude_reason" : "reason")));
  }
  const std::string shown =
      page.pictures.contains(entry.key)
          ? fmt::format(
                "<figure><img loading=\"lazy\" alt=\"slices of {} with contours\" "
                "src=\"{}\"></figure>",
                escaped(entry.key), address(qc_picture_name(entry.key)))
          : std::string("<p class=\"faint\">no picture</p>");
  return fmt::format("<section class=\"{}\" id=\"{}\"><h3>{}{}</h3>{}</section>\n", entry.flag,
                     escaped(entry.key), escaped(entry.key), notes, shown);
}

}  // namespace

std::string qc_page(const QcPage& page, const core::Table& table) {
  const std::vector<Entry> entries = entries_of(table);
  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width\"><title>{0}</title>\n"
      "<style>{1}</style></head><body>\n<h1>{0}</h1>\n",
      escaped(page.title), kStyle);
  html += counts(page, entries);
  html +=
      "<p>Look at every picture: the contours must lie on the structures, and the scan must be "
      "sharp. To leave a scan or one of its regions out, write <b>yes</b> into the column "
      "<b>exclude</b> of <a href=\"qc.tsv\">qc.tsv</a> and why into <b>exclude_reason</b>, then "
      "run the same command again with <code>--force --exclude</code> and that table. MI is the "
      "mutual information of the scan with what its labels lie on, before and after "
      "registration.</p>\n";
  html += failures(page);
  html += exclusions(table, entries);
  html += plots(table, entries);
  html +=
      "<h2>Numbers and pictures</h2>\n<input type=\"checkbox\" id=\"only\"> <label for=\"only\">"
      "only scans to check</label>\n";
  html += rows_of(table, entries);
  for (const Entry& entry : entries) html += picture(page, table, entry);
  return html + "</body></html>\n";
}

}  // namespace epvs::data
