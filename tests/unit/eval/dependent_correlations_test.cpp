#include "eval/correlation.h"

#include <gtest/gtest.h>

#include <cmath>

namespace epvs::eval {
namespace {

TEST(Williams, BasalGangliaOfP2) {
  const Estimate t = williams(76, .31, .25, .73);
  EXPECT_NEAR(t.statistic, .73, .005);
  EXPECT_NEAR(t.p, .47, .005);
  EXPECT_EQ(t.df1, 73);
}

// P2 prints Williams' p for two regions but not the correlation between the two networks.
TEST(Williams, WhatP2sSignificanceSaysAboutTheNetworks) {
  const double cso = williams_smallest_r23(76, .78, .52, .0001);
  EXPECT_NEAR(cso, .64, .01);
  EXPECT_LT(williams(76, .78, .52, cso + 1e-6).p, .0001);
  EXPECT_GT(williams(76, .78, .52, cso - 1e-6).p, .0001);
  const double hippocampi = williams_smallest_r23(76, .51, .33, .05);
  EXPECT_NEAR(hippocampi, .60, .01);
  EXPECT_LT(williams(76, .51, .33, hippocampi + 1e-6).p, .05);
  EXPECT_GT(williams(76, .51, .33, hippocampi - 1e-6).p, .05);
  // In the basal ganglia no correlation between the networks reaches p < .05 below .96.
  EXPECT_GT(williams_smallest_r23(76, .31, .25, .05), .96);
}

TEST(Williams, ChangesSignWithTheOrderAndIsZeroForEqualCorrelations) {
  const Estimate ab = williams(50, .6, .3, .4);
  const Estimate ba = williams(50, .3, .6, .4);
  EXPECT_DOUBLE_EQ(ab.statistic, -ba.statistic);
  EXPECT_DOUBLE_EQ(ab.p, ba.p);
  EXPECT_NEAR(ab.ci_low, -ba.ci_high, 1e-15);
  EXPECT_EQ(williams(50, .4, .4, .2).statistic, 0);
  EXPECT_EQ(williams(50, .4, .4, .2).p, 1);
}

TEST(Williams, AgreesWithSteigerForManyParticipants) {
  const Estimate t = williams(100000, .5, .49, .6);
  const Estimate z = steiger(100000, .5, .49, .6);
  EXPECT_NEAR(t.statistic, z.statistic, .01);
}

TEST(Steiger, EqualsThePublishedFormOfTheCovariance) {
  const double m2 = .45 * .45, r23 = .3;
  const double s =
      (r23 * (1 - 2 * m2) - .5 * m2 * (1 - 2 * m2 - r23 * r23)) / ((1 - m2) * (1 - m2));
  const double z = (std::atanh(.5) - std::atanh(.4)) * std::sqrt(60.0) / std::sqrt(2 - 2 * s);
  EXPECT_NEAR(steiger(63, .5, .4, r23).statistic, z, 1e-12);
}

TEST(Williams, SaysWhyItDoesNotExist) {
  EXPECT_EQ(williams(3, .5, .4, .3).note, "n = 3, at least 4 are needed");
  EXPECT_EQ(williams(50, NAN, .4, .3).note, "a correlation does not exist");
  EXPECT_EQ(williams(50, .5, .4, 1).note, "the two scorers are perfectly correlated");
  EXPECT_EQ(williams(50, 1, .4, .4).note, "a correlation is perfect");
  EXPECT_EQ(williams(50, .9, -.9, .9).note, "the three correlations contradict each other");
  EXPECT_EQ(steiger(50, .9, -.9, .9).note, "the three correlations contradict each other");
  EXPECT_TRUE(std::isnan(steiger(50, .9, -.9, .9).p));
}

}  // namespace
}  // namespace epvs::eval
