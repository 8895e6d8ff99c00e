#include "core/text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/random.h"

namespace epvs::core {
namespace {

TEST(Text, SplitKeepsEmptyParts) {
  EXPECT_EQ(split("a,,b,", ','), (std::vector<std::string>{"a", "", "b", ""}));
  EXPECT_EQ(split("", ','), (std::vector<std::string>{""}));
}

TEST(Text, NearestFindsTheMeantWordAndRejectsFarOnes) {
  const std::vector<std::string> names = {"epochs", "batch_size", "learning_rate"};
  EXPECT_EQ(nearest("epoch", names), "epochs");
  EXPECT_EQ(nearest("Learning_rat", names), "learning_rate");
  EXPECT_EQ(nearest("zzzzzz", names), std::nullopt);
  EXPECT_EQ(did_you_mean("epoch", names), " (did you mean 'epochs'?)");
  EXPECT_NE(did_you_mean("zzzzzz", names).find("batch_size"), std::string::npos);
}

TEST(Text, NumbersRoundTripToTheSameDouble) {
  Random random(3);
  for (int i = 0; i < 2000; ++i) {
    const double value =
        random.normal() * std::pow(10.0, static_cast<double>(random.integer(-300, 300)));
    EXPECT_EQ(parse_number(format_number(value)), value);
  }
  EXPECT_EQ(format_number(std::numeric_limits<double>::quiet_NaN()), "n/a");
  EXPECT_EQ(format_number(-0.0), "0");
}

TEST(Text, ParseNumberTakesTheWholeText) {
  EXPECT_EQ(parse_number(" +2.5 "), 2.5);
  EXPECT_EQ(parse_number("2,5"), std::nullopt);
  EXPECT_EQ(parse_number("2.5x"), std::nullopt);
  EXPECT_EQ(parse_number(""), std::nullopt);
  EXPECT_EQ(parse_integer("12.0"), std::nullopt);
  EXPECT_EQ(parse_integer("-12"), -12);
}

TEST(Text, DurationsReadLikeClocks) {
  EXPECT_EQ(format_duration(4.24), "4.2 s");
  EXPECT_EQ(format_duration(59.4), "59 s");
  EXPECT_EQ(format_duration(200), "3 min 20 s");
  EXPECT_EQ(format_duration(3720), "1 h 02 min");
  EXPECT_EQ(format_duration(std::numeric_limits<double>::infinity()), "?");
}

TEST(Text, WrapBreaksAtSpacesWithinTheWidth) {
  const std::string text = wrap("one two three four five six seven", 16, 4);
  for (const std::string& line : split(text, '\n')) {
    EXPECT_LE(line.size(), 16U);
    EXPECT_EQ(line.substr(0, 4), "    ");
  }
}

}  // namespace
}  // namespace epvs::core
