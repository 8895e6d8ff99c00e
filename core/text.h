// Small text helpers: splitting, nearest names for error messages, numbers and durations.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace epvs::core {

std::vector<std::string> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view trim(std::string_view text);
std::string lower(std::string_view text);

/// The candidate with the smallest edit distance to `word`, if it is near enough to be meant.
std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates);

/// " (did you mean 'epochs'?)" or the list of candidates when none is near; for messages.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

/// Shortest decimal text that reads back as the same double; "n/a" for NaN, "inf"/"-inf".
std::string format_number(double value);

/// The same for a number that was computed as a float: shortest text that reads back as that float.
std::string format_float(double value);

/// The whole text as a finite or infinite number; nothing when any character is left over.
std::optional<double> parse_number(std::string_view text);
std::optional<long long> parse_integer(std::string_view text);

/// "1 h 02 min", "3 min 20 s", "4.2 s".
std::string format_duration(double seconds);

/// Text broken at spaces so that no line is longer than `width`; every line after `indent` spaces.
std::string wrap(std::string_view text, std::size_t width, std::size_t indent);

}  // namespace epvs::core
