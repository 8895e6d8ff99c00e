#include "experiments/baselines/sift_forest.h"

#include <algorithm>
#include <opencv2/features2d.hpp>
#include <opencv2/ml.hpp>

#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"

namespace epvs::experiments {

namespace {

/// Descriptors of a slice's dictionary: more change its words little and cost much.
constexpr int kDescriptorsPerDictionary = 20'000;

/// SIFT descriptors of every slice; a slice without keypoints has an empty matrix.
std::vector<cv::Mat> descriptors_of(const SliceStack& stack) {
  // Lowe's values. The image is doubled first, so the finest scale is 0.8 voxels: a vessel of 1 mm
  // at P1's 0.5 mm.
  const cv::Ptr<cv::SIFT> sift = cv::SIFT::create();
  std::vector<cv::Mat> result;
  for (const std::vector<std::uint8_t>& slice : stack.slices) {
    const cv::Mat image(stack.height, stack.width, CV_8UC1,
                        const_cast<std::uint8_t*>(slice.data()));
    std::vector<cv::KeyPoint> keypoints;
    cv::Mat descriptors;
    sift->detectAndCompute(image, cv::noArray(), keypoints, descriptors);
    result.push_back(descriptors);
  }
  return result;
}

/// The words of one slice, (words, 128); empty where the training scans have no keypoint there.
cv::Mat dictionary_of(std::vector<cv::Mat> descriptors, int words, std::uint64_t seed) {
  cv::Mat all;
  std::erase_if(descriptors, [](const cv::Mat& rows) { return rows.empty(); });
  if (descriptors.empty()) return all;
  cv::vconcat(descriptors, all);
  if (all.rows > kDescriptorsPerDictionary) {
    core::Random random(seed);
    const std::vector<std::size_t> order = random.permutation(static_cast<std::size_t>(all.rows));
    cv::Mat chosen;
    for (int i = 0; i < kDescriptorsPerDictionary; ++i) {
      chosen.push_back(all.row(static_cast<int>(order[static_cast<std::size_t>(i)])));
    }
    all = chosen;
  }
  if (all.rows <= words) return all;
  cv::theRNG().state = seed;
  cv::Mat labels;
  cv::Mat centres;
  cv::kmeans(all, words, labels,
             cv::TermCriteria(cv::TermCriteria::EPS + cv::TermCriteria::MAX_ITER, 50, 1e-3), 1,
             cv::KMEANS_PP_CENTERS, centres);
  return centres;
}

/// How often each word of each slice is the nearest to a descriptor; (slices * words) columns.
void count_words(const std::vector<cv::Mat>& descriptors, const std::vector<cv::Mat>& dictionaries,
                 int words, cv::Mat counts) {
  const cv::BFMatcher matcher(cv::NORM_L2);
  counts = 0.0F;
  for (std::size_t slice = 0; slice < descriptors.size(); ++slice) {
    if (descriptors[slice].empty() || dictionaries[slice].empty()) continue;
    std::vector<cv::DMatch> matches;
    matcher.match(descriptors[slice], dictionaries[slice], matches);
    for (const cv::DMatch& match : matches) {
      counts.at<float>(static_cast<int>(slice) * words + match.trainIdx) += 1.0F;
    }
  }
}

std::vector<cv::Mat> dictionaries_of(const std::function<SliceStack(std::size_t)>& stack_of,
                                     const std::vector<std::size_t>& training,
                                     const SiftForestOptions& options, std::uint64_t seed,
                                     int threads) {
  std::vector<std::vector<cv::Mat>> by_scan(training.size());
  core::parallel_jobs(std::ssize(training), threads, [&](std::int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    by_scan[at] = descriptors_of(stack_of(training[at]));
  });
  std::vector<cv::Mat> dictionaries(static_cast<std::size_t>(options.slices));
  bool any = false;
  for (std::size_t slice = 0; slice < dictionaries.size(); ++slice) {
    std::vector<cv::Mat> descriptors;
    for (const std::vector<cv::Mat>& scan : by_scan) descriptors.push_back(scan[slice]);
    dictionaries[slice] =
        dictionary_of(descriptors, options.words, core::mix_seed(seed, {"dictionary", slice}));
    any = any || !dictionaries[slice].empty();
  }
  if (!any) {
    throw core::InputError(
        "no training scan has a SIFT keypoint in the slices around the rated one",
        "the grid may be too coarse for it: leave out the method sift");
  }
  return dictionaries;
}

cv::Ptr<cv::ml::RTrees> grow_forest(const cv::Mat& features, const std::vector<double>& labels,
                                    const SiftForestOptions& options) {
  const cv::Ptr<cv::ml::RTrees> forest = cv::ml::RTrees::create();
  forest->setMaxDepth(options.depth);
  forest->setMinSampleCount(2);
  forest->setRegressionAccuracy(0);
  forest->setCalculateVarImportance(false);
  forest->setActiveVarCount(std::max(1, features.cols / 3));  // Breiman's choice for regression
  forest->setTermCriteria(cv::TermCriteria(cv::TermCriteria::MAX_ITER, options.trees, 0));
  cv::Mat responses(static_cast<int>(labels.size()), 1, CV_32F);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    responses.at<float>(static_cast<int>(i)) = static_cast<float>(labels[i]);
  }
  forest->train(cv::ml::TrainData::create(features, cv::ml::ROW_SAMPLE, responses));
  return forest;
}

}  // namespace

bool has_sift_forest() {
  return true;
}

std::vector<double> score_by_sift_forest(std::size_t scans,
                                         const std::function<SliceStack(std::size_t)>& stack_of,
                                         const std::vector<std::size_t>& training,
                                         const std::vector<double>& labels,
                                         const SiftForestOptions& options, std::uint64_t seed,
                                         int threads) {
  cv::setNumThreads(1);  // one scan per thread; and k-means sums in one order
  const std::vector<cv::Mat> dictionaries =
      dictionaries_of(stack_of, training, options, seed, threads);
  cv::Mat features(static_cast<int>(scans), options.slices * options.words, CV_32F);
  core::parallel_jobs(static_cast<std::int64_t>(scans), threads, [&](std::int64_t scan) {
    count_words(descriptors_of(stack_of(static_cast<std::size_t>(scan))), dictionaries,
                options.words, features.row(static_cast<int>(scan)));
  });
  cv::Mat training_features;
  for (const std::size_t scan : training) {
    training_features.push_back(features.row(static_cast<int>(scan)));
  }
  const cv::Ptr<cv::ml::RTrees> forest = grow_forest(training_features, labels, options);
  std::vector<double> scores;
  for (int scan = 0; scan < features.rows; ++scan) {
    scores.push_back(forest->predict(features.row(scan)));
  }
  return scores;
}

}  // namespace epvs::experiments
