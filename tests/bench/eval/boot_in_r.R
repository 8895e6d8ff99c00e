# The bootstrap of one pair of scorers in one region by R's boot, for comparison with `epvs eval`:
#   Rscript boot_in_r.R TABLE.tsv [resamples]
# prints processor seconds per resample of all 16 metrics (vectorised R, no psych::ICC, which would be
# far slower); the jackknife of BCa is timed apart.
suppressPackageStartupMessages(library(boot))
arguments <- commandArgs(trailingOnly = TRUE)
table <- read.delim(arguments[1])
resamples <- if (length(arguments) > 1) as.integer(arguments[2]) else 100
d <- table[table$region == table$region[1], c("rater1", "scorer1")]
metrics <- function(data, i) {
  x <- data[i, 1]; y <- data[i, 2]; n <- length(x); e <- y - x
  b <- var((x + y) / 2) * 2; s <- var(e) / 2; j <- n * (mean(x) - mean(y))^2 / 2
  w <- (j + s * (n - 1)) / n
  c(cor(x, y), cor(x, y, method = "spearman"), (b - w) / (b + w),
    (b - s) / (b + s + 2 * (j - s) / n), (b - s) / (b + s), (b - w) / b, (b - s) / (b + (j - s) / n),
    (b - s) / b, 2 * cov(x, y) / (var(x) + var(y) + n / (n - 1) * mean(e)^2), mean(e^2),
    sqrt(mean(e^2)), mean(abs(e)), median(abs(e)), mean(e), mean(e) - 1.96 * sd(e),
    mean(e) + 1.96 * sd(e))
}
set.seed(1)
t <- system.time(b <- boot(d, metrics, resamples))
cat(sprintf("%d participants: %.3g ms of processor time per resample\n", nrow(d),
            1000 * (t[["user.self"]] + t[["sys.self"]]) / resamples))
