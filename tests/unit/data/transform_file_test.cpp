// Transforms in the files of ITK and FSL: against files written by ITK and by NumPy, and the way
// round that a file goes.
#include <Eigen/Geometry>
#include <Eigen/LU>
#include <algorithm>
#include <filesystem>
#include <set>
#include <sstream>

#include "core/error.h"
#include "core/files.h"
#include "core/json.h"
#include "core/table.h"
#include "core/text.h"
#include "data/formats/nifti.h"
#include "data/prepare/registration/transform_file.h"
#include "data/prepare/stages/locate_labels.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs::data {
namespace {

namespace fs = std::filesystem;
using tests::centred_grid;
using tests::expect_error;
using tests::rigid_motion;
using tests::scan_head;
using tests::TemporaryFolder;

const Eigen::Matrix4d kMotion = rigid_motion({0.14, -0.06, 0.09}, {6.0, -9.0, 5.0});
const TransformName kRigid = {"T2w", "T1w", "rigid"};

Geometry geometry_of(const core::Json& document) {
  Geometry geometry;
  document.at("shape").get_to(geometry.shape);
  for (int row = 0; row < 4; ++row) {
    for (int column = 0; column < 4; ++column) {
      geometry.affine(row, column) = document.at("affine")
                                         .at(static_cast<std::size_t>(row))
                                         .at(static_cast<std::size_t>(column));
    }
  }
  return geometry;
}

Eigen::Vector3d point_of(const core::Json& numbers) {
  return {numbers.at(0).get<double>(), numbers.at(1).get<double>(), numbers.at(2).get<double>()};
}

/// Largest distance in mm between where the matrix and NumPy send the points of a case.
double worst_mm(const core::Json& one, const Eigen::Matrix4d& matrix) {
  double worst = 0;
  for (std::size_t i = 0; i < one.at("points").size(); ++i) {
    const Eigen::Vector3d image =
        (matrix * point_of(one.at("points").at(i)).homogeneous()).head<3>();
    worst = std::max(worst, (image - point_of(one.at("images").at(i))).norm());
  }
  return worst;
}

class TransformFormats : public testing::TestWithParam<const char*> {};

TEST_P(TransformFormats, SendPointsWhereNumpySendsThem) {
  const std::string file = GetParam();  // "flirt.mat"
  const TemporaryFolder folder;
  for (const core::Json& one : core::read_json(tests::golden("data/transforms/cases.json"))) {
    const std::string name = one.at("name");
    const fs::path source = tests::golden("data/transforms/" + name + "_" + file);
    const fs::path path =
        folder / (name + "_from-T2w_to-T1w_rigid_xfm" + source.extension().string());
    fs::copy_file(source, path);
    const Geometry from = geometry_of(one.at("from"));
    const Geometry to = geometry_of(one.at("to"));
    const auto found = find_transform(folder.path(), name, kRigid);
    ASSERT_TRUE(found && !found->reversed);
    const Eigen::Matrix4d matrix = read_found_transform(*found, from, to);
    EXPECT_LT(worst_mm(one, matrix), 1e-6) << name;

    // The same file under the other name is the same transform the other way round.
    fs::rename(path, folder / (name + "_from-T1w_to-T2w_rigid_xfm" + source.extension().string()));
    const auto turned = find_transform(folder.path(), name, kRigid);
    ASSERT_TRUE(turned && turned->reversed);
    const Eigen::Matrix4d inverse = read_found_transform(*turned, to, from);
    EXPECT_LT((inverse * matrix - Eigen::Matrix4d::Identity()).norm(), 1e-6) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, TransformFormats, testing::Values("flirt.mat", "itk.txt"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

/// Files that ITK wrote, and where ITK sends points.
TEST(TransformFile, ItksOwnFilesSendPointsWhereItkSendsThem) {
  const core::Table table = core::Table::read(tests::golden("data/transforms/itk_points.tsv"));
  std::set<std::string> files;
  for (std::size_t i = 0; i < table.rows(); ++i) {
    const std::string file = table.cell(i, "file");
    files.insert(file);
    const Eigen::Vector4d point(table.number(i, "x"), table.number(i, "y"), table.number(i, "z"),
                                1);
    const Eigen::Vector3d image(table.number(i, "image_x"), table.number(i, "image_y"),
                                table.number(i, "image_z"));
    const Eigen::Matrix4d matrix = read_itk_transform(tests::golden("data/transforms/" + file));
    EXPECT_LT(((matrix * point).head<3>() - image).norm(), 1e-12) << file;
  }
  EXPECT_EQ(files.size(), 5U);
}

/// The files beside the clinical scans, digit by digit: 12 numbers about a centre.
TEST(TransformFile, ReferenceTransformsAreReadToTheLastDigit) {
  EPVS_REQUIRE_TEST_DATA(folder, "clinical_bids/derivatives/reference-transforms");
  int count = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::istringstream text(core::read_text(entry.path()));
    std::vector<double> p;
    for (std::string word; text >> word;) {
      if (const auto number = core::parse_number(word)) p.push_back(*number);
    }
    p.erase(p.begin(), p.end() - 15);
    const Eigen::Matrix4d matrix = read_itk_transform(entry.path());
    const Eigen::Vector3d sign(-1, -1, 1);
    for (Eigen::Index row = 0; row < 3; ++row) {
      const auto r = static_cast<std::size_t>(row);
      double shift = p[9 + r] + p[12 + r];
      for (Eigen::Index column = 0; column < 3; ++column) {
        const auto c = static_cast<std::size_t>(column);
        EXPECT_EQ(matrix(row, column), sign[row] * sign[column] * p[3 * r + c]);
        shift -= p[3 * r + c] * p[12 + c];
      }
      EXPECT_NEAR(matrix(row, 3), sign[row] * shift, 1e-13);
    }
    ++count;
  }
  EXPECT_EQ(count, 8);
}

TEST(TransformFile, FlirtNeedsTheRightGeometries) {  // the control of the test above
  const core::Json cases = core::read_json(tests::golden("data/transforms/cases.json"));
  const core::Json& one = cases.at(0);
  const fs::path path = tests::golden("data/transforms/case0_flirt.mat");
  const Geometry from = geometry_of(one.at("from"));
  const Geometry to = geometry_of(one.at("to"));
  EXPECT_LT(worst_mm(one, read_fsl_transform(path, from, to)), 1e-9);
  EXPECT_GT(worst_mm(one, read_fsl_transform(path, to, from)), 1);
  Geometry mirrored = to;  // the same voxels with a flipped first axis: another FSL world
  mirrored.affine.col(3) += mirrored.affine.col(0) * static_cast<double>(to.shape[0] - 1);
  mirrored.affine.col(0) *= -1;
  EXPECT_LT(worst_mm(one, read_fsl_transform(path, from, mirrored)), 1e-9)
      << "FSL millimetres do not depend on the stored order of x";
  mirrored.affine.col(1) *= -1;
  EXPECT_GT(worst_mm(one, read_fsl_transform(path, from, mirrored)), 1);
}

TEST(TransformFile, ComesBackAsItWasWritten) {
  const TemporaryFolder folder;
  Eigen::Matrix4d matrix = kMotion;
  matrix(0, 1) += 0.123456789012345;
  write_transform(folder / "a_xfm.txt", matrix);
  EXPECT_LT((read_itk_transform(folder / "a_xfm.txt") - matrix).norm(), 1e-12);
  // In the file the axes are LPS: the shift to the right (x > 0) is one to -x there.
  EXPECT_NE(core::read_text(folder / "a_xfm.txt").find("-6 9 5\n"), std::string::npos);
}

TEST(TransformFile, ReadsACentreOfRotation) {
  const TemporaryFolder folder;
  // x' = 2 (x - 10) + 10 + 1 along LPS x: RAS x' = 2 x + 10 - 1.
  core::write_text(folder / "b.txt",
                   "#Insight Transform File V1.0\n#Transform 0\n"
                   "Transform: MatrixOffsetTransformBase_double_3_3\n"
                   "Parameters: 2 0 0 0 1 0 0 0 1 1 0 0\nFixedParameters: 10 0 0\n");
  const Eigen::Vector4d image = read_itk_transform(folder / "b.txt") * Eigen::Vector4d(3, 4, 5, 1);
  EXPECT_NEAR(image[0], 2 * 3 + 10 - 1, 1e-12);
  EXPECT_NEAR(image[1], 4, 1e-12);
  EXPECT_NEAR(image[2], 5, 1e-12);
}

TEST(TransformFile, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  expect_error<core::InputError>([&] { read_itk_transform(folder / "none.txt"); },
                                 {"none.txt", "does not exist"});
  core::write_text(folder / "text.txt", "hello\n");
  expect_error<core::InputError>([&] { read_itk_transform(folder / "text.txt"); },
                                 {"text.txt", "not a transform"});
  core::write_text(folder / "flat.txt",
                   "#Insight Transform File V1.0\n#Transform 0\n"
                   "Transform: AffineTransform_double_3_3\n"
                   "Parameters: 1 0 0 0 1 0 0 0 0 0 0 0\nFixedParameters: 0 0 0\n");
  expect_error<core::InputError>([&] { read_itk_transform(folder / "flat.txt"); }, {"singular"});
  const auto refused = [&](const std::string& lines, const std::vector<std::string>& messages) {
    core::write_text(folder / "x.txt", "#Insight Transform File V1.0\n#Transform 0\n" + lines);
    expect_error<core::InputError>([&] { read_itk_transform(folder / "x.txt"); }, messages);
  };
  refused("Transform: BSplineTransform_double_3_3\nParameters: 1 2\nFixedParameters: 3\n",
          {"x.txt holds a BSplineTransform with 2 parameters", "AffineTransform"});
  refused("Transform: AffineTransform_double_3_3\nParameters: 1 2\nFixedParameters: 0 0 0\n",
          {"AffineTransform with 2 parameters"});
  refused("Transform: AffineTransform_double_3_3\nParameters: 1 two\n", {"not a transform"});
  refused("", {"not a transform"});
  core::write_text(folder / "ants.mat.txt", std::string("\0\0\0", 3));
  expect_error<core::InputError>([&] { read_itk_transform(folder / "ants.mat.txt"); },
                                 {"not a transform", "ConvertTransformFile"});
}

TEST(TransformFile, SaysWhatIsWrongWithFlirtsFiles) {
  const TemporaryFolder folder;
  const auto fsl = [&](const std::string& text, const std::string& message) {
    core::write_text(folder / "x.mat", text);
    expect_error<core::InputError>(
        [&] {
          read_fsl_transform(folder / "x.mat", centred_grid({4, 4, 4}, {1, 1, 1}),
                             centred_grid({4, 4, 4}, {1, 1, 1}));
        },
        {"x.mat", message});
  };
  fsl("1 0 0\n", "4x4 matrix");
  fsl("1 0 0 0 0 1 0 0 0 0 one 0 0 0 0 1", "4x4 matrix");
  fsl("1 0 0 0 0 1 0 0 0 0 0 0 0 0 0 1", "singular");
}

TEST(TransformFile, TwoFilesOfOneTransformAreRefused) {
  const TemporaryFolder folder;
  write_transform(folder / "sub-1_from-T2w_to-T1w_rigid_xfm.txt", kMotion);
  EXPECT_FALSE(find_transform(folder.path(), "sub-2", kRigid));
  EXPECT_FALSE(find_transform(folder.path(), "sub-1", {"T2w", "template", "rigid"}));
  EXPECT_TRUE(find_transform(folder.path(), "sub-1", kRigid));
  core::write_text(folder / "sub-1_from-T1w_to-T2w_rigid_xfm.mat", "1");
  expect_error<core::InputError>([&] { find_transform(folder.path(), "sub-1", kRigid); },
                                 {"from-T2w_to-T1w", "from-T1w_to-T2w", "keep one file"});
  EXPECT_EQ(transforms_of(folder.path(), "sub-1").size(), 2U);
  EXPECT_TRUE(transforms_of({}, "sub-1").empty());
}

/// A T2w and a T1w scan of a head that moved in between, and where transforms are found.
class BroughtTransform : public testing::Test {
 protected:
  void SetUp() override {
    const Geometry grid = centred_grid({54, 64, 54}, {3.5, 3.5, 3.5});
    write_nifti(folder_ / "t2w.nii", scan_head(grid, Eigen::Matrix4d::Identity(), true));
    write_nifti(folder_ / "t1w.nii", scan_head(grid, kMotion.inverse(), false));
    write_nifti(folder_ / "labels.nii", Volume<std::int16_t>(grid, 11));
    input_.participant_id = "sub-1";
    input_.scan = folder_ / "t2w.nii";
    input_.t1w = folder_ / "t1w.nii";
    input_.labels = folder_ / "labels.nii";
    options_.labels_space = LabelsSpace::kT1w;
    options_.transforms = folder_ / "xfm";
    fs::create_directory(options_.transforms);
  }
  fs::path file(const std::string& name) const { return options_.transforms / ("sub-1_" + name); }
  /// Why a person should look at the transform, all on one line. That the phantom is nearly
  /// symmetric is another matter (same_person_test).
  std::string reasons() const {
    const SharedInputs shared = read_shared_inputs(options_);
    KnownRegistrations known;
    const LocatedLabels found =
        locate_labels(input_, read_scan(input_.scan).image, shared, false, known);
    EXPECT_TRUE(std::isfinite(found.fit.information_after));
    std::string all;
    for (const std::string& reason : found.reasons) {
      if (reason.find("mirror image") == std::string::npos) all += reason + "; ";
    }
    return all;
  }

  TemporaryFolder folder_;
  ScanInput input_;
  PrepareOptions options_;
};

TEST_F(BroughtTransform, TheRightWayRoundIsQuietAndTheWrongWayIsFlagged) {
  write_transform(file("from-T2w_to-T1w_rigid_xfm.txt"), kMotion);
  EXPECT_EQ(reasons(), "");
  write_transform(file("from-T2w_to-T1w_rigid_xfm.txt"), kMotion.inverse());
  EXPECT_NE(reasons().find("its inverse fits better"), std::string::npos);
  fs::rename(file("from-T2w_to-T1w_rigid_xfm.txt"), file("from-T1w_to-T2w_rigid_xfm.txt"));
  EXPECT_EQ(reasons(), "");
  // Neither this way nor the other.
  write_transform(file("from-T1w_to-T2w_rigid_xfm.txt"), rigid_motion({0, 0, 0}, {40.0, 0.0, 0.0}));
  EXPECT_NE(reasons().find("fit better without it"), std::string::npos);
}

TEST_F(BroughtTransform, AFolderThatIsNotThereIsRefused) {
  options_.transforms = folder_ / "nowhere";
  expect_error<core::InputError>([&] { read_shared_inputs(options_); },
                                 {"the folder of transforms", "nowhere"});
}

}  // namespace
}  // namespace epvs::data
