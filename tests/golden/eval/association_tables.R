#!/usr/bin/env Rscript
# Golden values for calibration, heterogeneity, age bins and scan-rescan, by base R and psych.
#   Rscript tests/golden/eval/association_tables.R tests/golden/eval
# writes pairs.tsv (case x y), pairs_expected.tsv, groups.tsv, groups_expected.tsv (case quantity
# value). Numbers are printed with 17 digits.
#
# Calibration: the slope and intercept are found by brute force (optim, Nelder-Mead then BFGS) on the
# ICC computed from aov-style mean squares, without the closed form of the C++ code; the ICC at the
# optimum is computed once more by psych::ICC. Heterogeneity: the formulas of Hedges & Olkin 1985 and
# DerSimonian & Laird 1986 written out below. Age bins: cut() and t.test(). Scan-rescan: psych::ICC,
# the one-way within-subject SD of Bland & Altman 1996 with its chi-squared interval.
suppressPackageStartupMessages(library(psych))
out <- commandArgs(trailingOnly = TRUE)[1]
set.seed(20190802)

tables <- list()
add <- function(name, x, y) tables[[name]] <<- data.frame(case = name, x = x, y = y)
n <- 76
latent <- rnorm(n, 12, 5)
add("normal76", round(latent + rnorm(n, 0, 2), 4), round(latent + rnorm(n, 0, 3), 4))
add("n3", c(1, 4, 6), c(2.5, 2.75, 9))
add("n4_ties", c(1, 1, 2, 2), c(0, 0, 0, 3))
add("n5_integer", c(0, 3, 5, 8, 2), c(1, 1, 7, 9, 4))
add("negative_correlation", 1:12, round(100 - 3 * (1:12) + rnorm(12, 0, 4), 3))
add("weak_negative", round(rnorm(40), 3), round(rnorm(40), 3))
add("large_offset", 1e6 + round(rnorm(30, 0, 2), 3), 2e6 + round(rnorm(30, 0, 5), 3))
add("tiny_scale", round(rnorm(25), 3), 1e-6 * round(rnorm(25), 3))
add("huge_scale", rpois(50, 6), 1e5 * round(rgamma(50, 2), 3))
add("counts_zero_inflated", rpois(200, 5) * rbinom(200, 1, .7), round(rpois(200, 4) * runif(200), 3))
m <- rgamma(405, 1.5, .3)
add("counts405", rpois(405, m), round(30 + 4 * m + rnorm(405, 0, 10), 3))
add("underestimated", rpois(100, 3 * (1:100) / 20), round(.3 * 3 * (1:100) / 20 + rnorm(100, 0, .4), 3))
add("heavy_tail", round(rt(60, 2), 3), round(rt(60, 2), 3))
add("binary", rbinom(80, 1, .3), rbinom(80, 1, .4))
add("almost_equal", 1:20, 1:20 + rep(c(.001, -.001), 10))
add("one_outlier", c(1:15, 200), c(2:16, 1))
add("n5000", round(rgamma(5000, 2, .2)), round(rgamma(5000, 2, .1), 2))
add("mean_zero", c(-3, -1, 0, 1, 3), c(-1, -2, 0, 4, -1))
add("equal_means", c(2, 4, 6, 8), c(8, 2, 6, 4.5))
add("n6_reversed", 1:6, c(6, 5, 4, 3, 2, 1.5))
add("ties_half", rep(c(0, 0, 1, 5), 10), rep(c(0, 2, 0, 7), 10) + rep(c(0, 0, 0, .5, 0), 8))

mean_squares <- function(x, v) {
  n <- length(x); rows <- (x + v) / 2; cols <- c(mean(x), mean(v)); grand <- mean(cols)
  bms <- 2 * sum((rows - grand)^2) / (n - 1)
  jms <- n * sum((cols - grand)^2)
  ems <- (sum((x - rows - cols[1] + grand)^2) + sum((v - rows - cols[2] + grand)^2)) / (n - 1)
  c(bms, jms, ems, (sum((x - rows)^2) + sum((v - rows)^2)) / n)
}
icc2 <- function(x, v) { s <- mean_squares(x, v); n <- length(x)
  (s[1] - s[3]) / (s[1] + s[3] + 2 * (s[2] - s[3]) / n) }
icc1 <- function(x, v) { s <- mean_squares(x, v); (s[1] - s[4]) / (s[1] + s[4]) }
brute <- function(x, y, icc) {
  u <- (y - mean(y)) / sd(y)            # only a change of coordinates for the search
  mx <- mean(x); sx <- sd(x)
  best <- NULL
  for (b0 in c(-2, -.3, .3, 2)) {
    f <- function(p) -icc((x - mx) / sx, p[1] + p[2] * u)
    o <- optim(c(.1, b0), f, control = list(reltol = 1e-15, maxit = 5000))
    o <- optim(o$par, f, method = "BFGS", control = list(reltol = 1e-16, maxit = 1000, ndeps = c(1e-4, 1e-4)))
    if (is.null(best) || o$value < best$value) best <- o
  }
  slope <- best$par[2] * sx / sd(y)
  c(intercept = mx + sx * best$par[1] - slope * mean(y), slope = slope, icc = -best$value)
}

expected <- list()
put <- function(case, quantity, value)
  expected[[length(expected) + 1]] <<- data.frame(case = case, quantity = quantity,
                                                  value = sprintf("%.17g", unname(value)))
for (name in names(tables)) {
  x <- tables[[name]]$x; y <- tables[[name]]$y
  for (form in c("icc1", "icc2")) {
    f <- get(form); b <- brute(x, y, f)
    put(name, paste0(form, "_intercept"), b["intercept"]); put(name, paste0(form, "_slope"), b["slope"])
    put(name, paste0(form, "_after"), b["icc"])
  }
  p <- ICC(cbind(x, y), lmer = FALSE)$results
  put(name, "icc1_before", p$ICC[1]); put(name, "icc2_before", p$ICC[2])
  # scan-rescan: x is the first scan, y the second
  d <- y - x; nn <- length(d); sw <- sqrt(sum(d^2) / (2 * nn))
  put(name, "sw", sw)
  put(name, "sw_low", sw * sqrt(nn / qchisq(.975, nn))); put(name, "sw_high", sw * sqrt(nn / qchisq(.025, nn)))
  t <- t.test(y, x, paired = TRUE)
  put(name, "bias", mean(d)); put(name, "bias_low", t$conf.int[1]); put(name, "bias_high", t$conf.int[2])
  put(name, "bias_p", t$p.value); put(name, "bias_t", t$statistic)
  # age bins: x as covariate, 5 units wide
  if (diff(range(x)) < 1000 && name != "large_offset") {
    low <- floor(x / 5) * 5
    for (edge in sort(unique(low))) {
      v <- y[low == edge]
      put(name, sprintf("bin_%g_n", edge), length(v)); put(name, sprintf("bin_%g_mean", edge), mean(v))
      if (length(v) > 1 && sd(v) > 0) {
        ci <- t.test(v)$conf.int
        put(name, sprintf("bin_%g_low", edge), ci[1]); put(name, sprintf("bin_%g_high", edge), ci[2])
      }
    }
  }
}
write <- function(frame, file)
  write.table(frame, file.path(out, file), sep = "\t", quote = FALSE, row.names = FALSE)
all <- do.call(rbind, tables); all$x <- sprintf("%.17g", all$x); all$y <- sprintf("%.17g", all$y)
write(all, "association_pairs.tsv")
write(do.call(rbind, expected), "association_pairs_expected.tsv")

expected <- list(); groups <- list()
for (k in c(2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 15, 20, 30, 3, 4, 5, 2)) {
  name <- sprintf("g%02d_k%d", length(groups) + 1, k)
  size <- if (length(groups) %% 3 == 0) rep(50, k) else sample(4:120, k, replace = TRUE)
  spread <- c(0, .1, .3, .8)[length(groups) %% 4 + 1]
  r <- round(tanh(atanh(.6) + rnorm(k, 0, spread) + rnorm(k) / sqrt(pmax(size - 3, 1))), 4)
  if (length(groups) == 4) r[] <- .5                       # exactly equal: Q = 0
  r[abs(r) >= 1] <- .999
  groups[[name]] <- data.frame(case = name, n = size, r = r)
  z <- atanh(r); w <- size - 3; zbar <- sum(w * z) / sum(w); q <- sum(w * (z - zbar)^2)
  df <- k - 1; c0 <- sum(w) - sum(w^2) / sum(w); tau2 <- max(0, (q - df) / c0)
  ws <- 1 / (1 / w + tau2); zr <- sum(ws * z) / sum(ws); se <- 1 / sqrt(sum(ws))
  put(name, "q", q); put(name, "p", pchisq(q, df, lower.tail = FALSE)); put(name, "tau2", tau2)
  put(name, "i2", if (q > 0) max(0, (q - df) / q) else 0)
  put(name, "fixed_r", tanh(zbar)); put(name, "fixed_low", tanh(zbar - qnorm(.975) / sqrt(sum(w))))
  put(name, "fixed_high", tanh(zbar + qnorm(.975) / sqrt(sum(w))))
  put(name, "random_r", tanh(zr)); put(name, "random_low", tanh(zr - qnorm(.975) * se))
  put(name, "random_high", tanh(zr + qnorm(.975) * se)); put(name, "random_se_z", se)
  if (k > 2 && q > 1e-9) {  # Higgins & Thompson 2002, equations for ln(H)
    se_h <- if (q > k) .5 * (log(q) - log(k - 1)) / (sqrt(2 * q) - sqrt(2 * k - 3)) else
      sqrt(1 / (2 * (k - 2)) * (1 - 1 / (3 * (k - 2)^2)))
    h <- exp(.5 * log(q / df) + c(-1, 1) * qnorm(.975) * se_h); i2 <- pmax(0, (h^2 - 1) / h^2)
    put(name, "i2_low", i2[1]); put(name, "i2_high", i2[2])
  }
}
write(do.call(rbind, groups), "association_groups.tsv")
write(do.call(rbind, expected), "association_groups_expected.tsv")
