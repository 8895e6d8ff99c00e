#include "data/prepare/failures.h"

#include <algorithm>
#include <new>
#include <tuple>

#include "core/error.h"
#include "core/files.h"
#include "core/table.h"

namespace epvs::data {

void sort_failures(std::vector<Failure>& failures) {
  std::sort(failures.begin(), failures.end(), [](const Failure& a, const Failure& b) {
    return std::tie(a.participant_id, a.session_id, a.region) <
           std::tie(b.participant_id, b.session_id, b.region);
  });
}

std::optional<Failure> attempt(const ScanInput& input, const std::function<void()>& work) {
  Failure failure{input.participant_id, input.session_id, {}, {}, {}};
  try {
    work();
    return std::nullopt;
  } catch (const core::Error& error) {
    if (error.exit_code() != core::ExitCode::kInput) throw;
    failure.error = error.what();
    failure.hint = error.hint();
  } catch (const std::bad_alloc&) {
    failure.error = "not enough memory";
    failure.hint = "give fewer --threads";
  } catch (const std::exception& error) {
    failure.error = error.what();
  }
  for (std::string* text : {&failure.error, &failure.hint}) {
    std::replace_if(
        text->begin(), text->end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  }
  return failure;
}

void write_failures(const std::filesystem::path& path, const std::vector<Failure>& failures,
                    const core::Provenance& provenance) {
  if (failures.empty()) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    std::filesystem::remove(core::sidecar_path(path), ignored);
    return;
  }
  core::Table table({"participant_id", "session_id", "region", "error", "hint"});
  for (const Failure& failure : failures) {
    table.add_row(
        {failure.participant_id, failure.session_id, failure.region, failure.error, failure.hint});
  }
  table.write(path);
  provenance.write_beside(path);
}

}  // namespace epvs::data
