// Pictures for quality control: a small RGB raster, grey slices with mask contours, PNG out.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "data/formats/volume.h"

namespace epvs::data {

using Colour = std::array<std::uint8_t, 3>;

/// 8-bit RGB, row by row from the top.
struct Picture {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;

  Picture() = default;
  Picture(int picture_width, int picture_height, Colour fill = {0, 0, 0});
  void set(int x, int y, Colour colour);  ///< ignored outside
  Colour get(int x, int y) const;
};

/// Writes atomically; `texts` become tEXt entries (keyword, text). Throws RunError (disk full).
void write_png(const std::filesystem::path& path, const Picture& picture,
               const std::vector<std::pair<std::string, std::string>>& texts = {});

/// Copies `part` into `canvas` with its top left corner at (x, y).
void paste(Picture& canvas, const Picture& part, int x, int y);
/// Letters of 5x9 pixels (two below the line) times `scale`, upper and lower case ASCII; others
/// show as a box.
void draw_text(Picture& canvas, int x, int y, const std::string& text, Colour colour,
               int scale = 1);
int text_width(const std::string& text, int scale = 1);

/// Values that are shown black and white: the 0.5 and 99.5 percentiles of the finite voxels above
/// 0.
struct GreyWindow {
  double black = 0;
  double white = 1;
};
GreyWindow robust_window(const Volume<float>& volume);

enum class Plane { kAxial, kCoronal, kSagittal };

/// A mask drawn as a line.
struct Contour {
  const Volume<std::uint8_t>* mask;  ///< same grid as the scan
  Colour colour;
};

/// One slice of a canonical (RAS) volume at voxel `index`, resized linearly to isotropic pixels of
/// `mm_per_pixel`; anterior or superior is up, the participant's right on the left of the picture
/// (radiological, marked R). Contours are the 0.5 level of each mask, resized the same way.
Picture slice_picture(const Volume<float>& scan, Plane plane, std::int64_t index,
                      double mm_per_pixel, const GreyWindow& window,
                      const std::vector<Contour>& contours = {});

/// Writes which side is which onto a slice: R and L, or A and P on a sagittal one.
void mark_sides(Picture& picture, Plane plane);

/// Three planes through `centre` (a voxel of the canonical scan) side by side, labelled, with
/// `title` above and the `contours` of the regions; about 900 pixels wide.
Picture three_plane_picture(const Volume<float>& scan, const Shape& centre,
                            const std::vector<Contour>& contours, const std::string& title,
                            const GreyWindow& window);

}  // namespace epvs::data
