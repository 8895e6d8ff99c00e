#include "data/prepare/qc/qc_picture.h"

#include <fmt/format.h>

#include <Eigen/LU>
#include <algorithm>
#include <array>
#include <cmath>

#include "data/formats/resample.h"

namespace epvs::data {

namespace {

constexpr Colour kBackground = {18, 18, 22};
constexpr Colour kInk = {235, 235, 235};
constexpr Colour kFaintInk = {165, 165, 175};
constexpr int kMargin = 8;
constexpr int kStripSlices = 5;

/// The same field of colours for everybody: told apart with the usual colour blindnesses.
constexpr Colour kColours[] = {
    {255, 100, 60}, {80, 190, 255}, {255, 225, 60}, {80, 230, 160}, {240, 140, 225}};

/// Masks as they lie without the registration: a point p has the label that the labels' world has
/// at p, which the registered mask shows at scan_to_labels^-1 p.
std::vector<Volume<std::uint8_t>> by_headers(const std::vector<QcRegion>& regions,
                                             const Eigen::Matrix4d& scan_to_labels, int threads) {
  std::vector<Volume<std::uint8_t>> masks;
  for (const QcRegion& region : regions) {
    masks.push_back(
        resample_mask(region.mask, region.mask.geometry, scan_to_labels.inverse(), threads));
  }
  return masks;
}

std::vector<Contour> contours_of(const std::vector<QcRegion>& regions) {
  std::vector<Contour> contours;
  for (std::size_t i = 0; i < regions.size(); ++i) {
    contours.push_back({&regions[i].mask, qc_colour(i)});
  }
  return contours;
}

Picture text_line(int width, const std::string& text, Colour colour, int scale) {
  Picture line(width, scale == 2 ? 26 : 18, kBackground);
  const int fitting = text_width(text, scale) <= width - 2 * kMargin ? scale : 1;
  draw_text(line, kMargin, 6, text, colour, fitting);
  return line;
}

/// A swatch, the name and the volume of every region, and which side is which.
Picture legend(int width, const std::vector<QcRegion>& regions) {
  constexpr int kHeight = 24;
  Picture line(width, kHeight, kBackground);
  int x = kMargin;
  for (std::size_t i = 0; i < regions.size(); ++i) {
    for (int dy = 5; dy < 17; ++dy) {
      for (int dx = 0; dx < 12; ++dx) {
        const bool border = dy < 7 || dy > 14 || dx < 2 || dx > 9;
        if (border) line.set(x + dx, dy, qc_colour(i));
      }
    }
    const std::string text =
        fmt::format("{} {:.1f} ml", regions[i].name, regions[i].volume_mm3 / 1000.0);
    draw_text(line, x + 18, 8, text, kInk, 1);
    x += 18 + text_width(text, 1) + 22;
  }
  const std::string sides = "R and L: right and left of the participant";
  draw_text(line, std::max(x, width - kMargin - text_width(sides, 1)), 8, sides, kFaintInk, 1);
  return line;
}

/// The part of a picture from (x, y), filled with the background where it ends.
Picture cut(const Picture& picture, int x, int y, int width, int height) {
  Picture part(width, height, kBackground);
  for (int row = 0; row < height; ++row) {
    for (int column = 0; column < width; ++column) {
      const int from_x = x + column;
      const int from_y = y + row;
      if (from_x < 0 || from_y < 0 || from_x >= picture.width || from_y >= picture.height) continue;
      part.set(column, row, picture.get(from_x, from_y));
    }
  }
  return part;
}

/// Axial slices through one region, evenly from its lowest to its highest, zoomed to it.
Picture strip(const Volume<float>& scan, const QcRegion& region, std::size_t index,
              const std::vector<Contour>& contours, const GreyWindow& window, int width) {
  constexpr double kSurroundingsMm = 14;
  const Eigen::Vector3d spacing = scan.geometry.spacing_mm();
  const VoxelBox box = bounding_box(region.mask);
  const Shape size = box.size();
  const double wide_mm = static_cast<double>(size[0]) * spacing[0] + 2 * kSurroundingsMm;
  const double high_mm = static_cast<double>(size[1]) * spacing[1] + 2 * kSurroundingsMm;
  const int panel_width = (width - (kStripSlices + 1) * kMargin) / kStripSlices;
  const double mm_per_pixel = wide_mm / panel_width;
  const int panel_height = static_cast<int>(std::lround(high_mm / mm_per_pixel));
  constexpr int kCaption = 18;
  Picture row(width, kCaption + panel_height + kCaption, kBackground);
  draw_text(row, kMargin, 6, fmt::format("{}: axial slices from below upwards", region.name),
            qc_colour(index), 1);
  std::int64_t last = -1;
  int left = kMargin;
  for (int i = 0; i < kStripSlices; ++i) {
    const double part = (i + 0.5) / kStripSlices;
    const auto above = static_cast<std::int64_t>(part * static_cast<double>(size[2]));
    const auto z = std::min(box.end[2] - 1, box.begin[2] + above);
    if (z == last) continue;  // a thin region has fewer slices
    last = z;
    const Picture slice = slice_picture(scan, Plane::kAxial, z, mm_per_pixel, window, contours);
    // The picture shows the right of the participant on its left.
    const double first_x =
        (static_cast<double>(scan.geometry.shape[0] - box.end[0]) * spacing[0] - kSurroundingsMm) /
        mm_per_pixel;
    const double first_y =
        (static_cast<double>(scan.geometry.shape[1] - box.end[1]) * spacing[1] - kSurroundingsMm) /
        mm_per_pixel;
    Picture panel = cut(slice, static_cast<int>(std::lround(first_x)),
                        static_cast<int>(std::lround(first_y)), panel_width, panel_height);
    mark_sides(panel, Plane::kAxial);
    paste(row, panel, left, kCaption);
    draw_text(row, left, kCaption + panel_height + 6,
              fmt::format("slice {} of {}", z + 1, scan.geometry.shape[2]), kFaintInk, 1);
    left += panel_width + kMargin;
  }
  return row;
}

/// The planes that show all regions best: largest sum of each region's area there over its largest
/// area, so that a wide region does not hide the small ones.
Shape shared_planes(const Geometry& geometry, const std::vector<QcRegion>& regions) {
  const Shape& shape = geometry.shape;
  std::array<std::vector<double>, 3> shown;
  for (std::size_t i = 0; i < 3; ++i) shown[i].assign(static_cast<std::size_t>(shape[i]), 0);
  for (const QcRegion& region : regions) {
    std::array<std::vector<double>, 3> area;
    for (std::size_t i = 0; i < 3; ++i) area[i].assign(shown[i].size(), 0);
    for_each_voxel(shape, [&](auto x, auto y, auto z) {
      if (region.mask.at(x, y, z) == 0) return;
      area[0][static_cast<std::size_t>(x)] += 1;
      area[1][static_cast<std::size_t>(y)] += 1;
      area[2][static_cast<std::size_t>(z)] += 1;
    });
    for (std::size_t i = 0; i < 3; ++i) {
      const double largest = *std::max_element(area[i].begin(), area[i].end());
      if (largest == 0) continue;
      for (std::size_t k = 0; k < shown[i].size(); ++k) shown[i][k] += area[i][k] / largest;
    }
  }
  Shape planes{};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto best = std::max_element(shown[i].begin(), shown[i].end());
    planes[i] = *best > 0 ? best - shown[i].begin() : shape[i] / 2;
  }
  return planes;
}

Picture stacked(const std::vector<Picture>& rows) {
  int width = 1;
  int height = 0;
  for (const Picture& row : rows) {
    width = std::max(width, row.width);
    height += row.height;
  }
  Picture picture(width, height, kBackground);
  int y = 0;
  for (const Picture& row : rows) {
    paste(picture, row, 0, y);
    y += row.height;
  }
  return picture;
}

std::string nats(const char* words, double information) {
  return std::isfinite(information)
             ? fmt::format("{} (mutual information {:.2f} nats)", words, information)
             : words;
}

}  // namespace

Colour qc_colour(std::size_t index) {
  return kColours[index % std::size(kColours)];
}

Picture draw_qc_picture(const QcPicture& what, const Volume<float>& scan,
                        const std::vector<QcRegion>& regions, int threads) {
  const Shape& shape = scan.geometry.shape;
  const Eigen::Vector3d spacing = scan.geometry.spacing_mm();
  const Shape centre = shared_planes(scan.geometry, regions);
  const GreyWindow window = robust_window(scan);
  std::vector<Picture> rows;
  rows.push_back(three_plane_picture(scan, centre, {}, "the scan", window));
  const int width = rows.front().width;
  rows.insert(rows.begin(), legend(width, regions));
  rows.insert(
      rows.begin(),
      text_line(width,
                fmt::format("{}   {} x {} x {} voxels of {:.2f} x {:.2f} x {:.2f} mm", what.key,
                            shape[0], shape[1], shape[2], spacing[0], spacing[1], spacing[2]),
                kInk, 2));
  if (what.scan_to_labels) {
    const std::vector<Volume<std::uint8_t>> before =
        by_headers(regions, *what.scan_to_labels, threads);
    std::vector<Contour> contours;
    for (std::size_t i = 0; i < before.size(); ++i) contours.push_back({&before[i], qc_colour(i)});
    rows.push_back(three_plane_picture(scan, centre, contours,
                                       nats("before registration, by the headers", what.mi_before),
                                       window));
  }
  const std::vector<Contour> contours = contours_of(regions);
  rows.push_back(three_plane_picture(scan, centre, contours,
                                     what.scan_to_labels
                                         ? nats("after registration, as used", what.mi_after)
                                         : "the regions as used",
                                     window));
  for (std::size_t i = 0; i < regions.size(); ++i) {
    if (bounding_box(regions[i].mask).empty()) continue;
    rows.push_back(strip(scan, regions[i], i, contours, window, width));
  }
  return stacked(rows);
}

}  // namespace epvs::data
