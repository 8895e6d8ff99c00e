# Makes tables.tsv (the samples) and expected.tsv (what R says about them) for the tests of eval.
#   Rscript make_goldens.R      (in this folder; R >= 4.2 with psych)
# Statistics come from R itself (cor.test, t.test, p.adjust), from psych (ICC, r.test, cohen.kappa),
# or, where Debian packages none, from the published formula written out below.
suppressPackageStartupMessages(library(psych))
set.seed(20190307)

tables <- list()
add <- function(name, x, y, z) tables[[name]] <<- data.frame(x = x, y = y, z = z)
distinct <- function(n) round(rnorm(n), 6)

x <- rnorm(76); y <- .7 * x + rnorm(76); z <- .5 * x + .4 * y + rnorm(76)
add("normal_76", x, y, z)
lambda <- rgamma(76, 1.5, .3)
add("counts_76", rpois(76, lambda), rpois(76, lambda), rpois(76, 1 + .5 * lambda))
add("n3", c(1.5, 2.25, 7), c(2, 1, 9), c(3, 8, 4))
add("n4", c(0, 3, 3, 8), c(1, 2, 5, 6), c(4, 1, 0, 9))
for (n in c(5, 8, 9, 10, 30, 200)) {
  x <- distinct(n)
  add(paste0("untied_", n), x, round(.6 * x + distinct(n), 7), round(.3 * x + distinct(n), 7))
}
x <- rnorm(40, 0, 5)
add("offset_1e6", 1e6 + round(x, 3), 1e6 + 2 + round(.8 * x + rnorm(40), 3),
    1e6 - 1 + round(.5 * x + rnorm(40), 3))
lambda <- rgamma(60, 2, .2)
add("offset_1e9", 1e9 + rpois(60, lambda), 1e9 + rpois(60, lambda), 1e9 + rpois(60, lambda))
x <- rnorm(25)
add("tiny", 1e-7 * x, 1e-7 * (x + rnorm(25)), 1e-7 * rnorm(25))
x <- rnorm(50)
add("negative", x, -x + rnorm(50), -.5 * x + rnorm(50))
add("binary", rbinom(45, 1, .4), rbinom(45, 1, .5), rbinom(45, 1, .3))
add("zero_inflated", rbinom(76, 1, .3) * rpois(76, 6), rbinom(76, 1, .4) * rpois(76, 5), rpois(76, 2))
x <- rnorm(30)
add("near_perfect", x, x + 1e-3 * rnorm(30), x + 1e-2 * rnorm(30))
x <- rpois(40, 9); y <- x + rpois(40, 2); z <- rpois(40, 8)
x[c(3, 17)] <- NA; y[c(5, 17, 30)] <- NA; z[22] <- NA
add("missing", x, y, z)
x <- c(rnorm(20), 40); add("outlier", x, c(rnorm(20), 35), c(rnorm(20), -20))
x <- rpois(30, 10); add("shifted", x, x + 5 + rbinom(30, 1, .1), 2 * x + rpois(30, 1))
add("scaled", 1:12 + 0, c(2, 4, 6, 9, 10, 12, 13, 16, 18, 20, 23, 24), rev(1:12) + c(.5, 0))
add("large_values", round(rexp(35) * 1e12), round(rexp(35) * 1e12), round(rexp(35) * 1e12))
add("constant_y", rpois(20, 4), rep(7, 20), rpois(20, 4))
# Tables of several thousand participants are not stored: the tests make them by the same integers.
generated <- function(n) {
  i <- seq_len(n)
  list(x = (i * 7919) %% 10007, y = (i * 7919) %% 10007 + (i * 104729) %% 5003,
       z = (i * 611953) %% 9973)
}
for (n in c(1290, 1291, 5000)) {
  g <- generated(n); add(paste0("generated_", n), g$x, g$y, g$z)
}
# the same with heavy ties
g <- generated(5000); add("generated_tied_5000", g$x %/% 500, g$y %/% 700, g$z %/% 400)

rows <- list()
put <- function(table, statistic, value)
  rows[[length(rows) + 1]] <<- data.frame(table = table, statistic = statistic, value = value)

mean_squares <- function(m) {  # two-way analysis of variance by its definition
  n <- nrow(m); k <- ncol(m); g <- mean(m)
  ssb <- k * sum((rowMeans(m) - g)^2); ssj <- n * sum((colMeans(m) - g)^2)
  sse <- sum((sweep(sweep(m, 1, rowMeans(m)), 2, colMeans(m)) + g)^2)
  c(b = ssb / (n - 1), j = ssj / (k - 1), e = sse / ((n - 1) * (k - 1)),
    w = (ssj + sse) / (n * (k - 1)))
}
names_icc <- c("icc1", "icc2", "icc3", "icc1k", "icc2k", "icc3k")
put_icc <- function(name, prefix, m) {
  m <- as.matrix(m)
  shift <- if (name == "offset_1e9") 1e9 else if (name == "offset_1e6") 1e6 else 0
  m <- m - shift  # exact, and the coefficients do not depend on it
  if (nrow(m) <= 300) {
    r <- suppressWarnings(ICC(m, lmer = FALSE))$results
    for (i in 1:6) {
      key <- paste0(prefix, names_icc[i], ".")
      put(name, paste0(key, "estimate"), r$ICC[i]); put(name, paste0(key, "statistic"), r$F[i])
      put(name, paste0(key, "df1"), r$df1[i]); put(name, paste0(key, "df2"), r$df2[i])
      # psych's own p is 1 - (1 - p): the same p without the loss of digits
      put(name, paste0(key, "p"), pf(r$F[i], r$df1[i], r$df2[i], lower.tail = FALSE))
      put(name, paste0(key, "ci_low"), r$`lower bound`[i])
      put(name, paste0(key, "ci_high"), r$`upper bound`[i])
    }
  } else {  # psych fits one dummy variable per participant: too slow for thousands
    ms <- mean_squares(m); n <- nrow(m); k <- ncol(m)
    put(name, paste0(prefix, "icc1.estimate"), unname((ms["b"] - ms["w"]) / (ms["b"] + (k - 1) * ms["w"])))
    put(name, paste0(prefix, "icc2.estimate"),
        unname((ms["b"] - ms["e"]) / (ms["b"] + (k - 1) * ms["e"] + k * (ms["j"] - ms["e"]) / n)))
    put(name, paste0(prefix, "icc3.estimate"), unname((ms["b"] - ms["e"]) / (ms["b"] + (k - 1) * ms["e"])))
    f <- unname(ms["b"] / ms["e"])
    put(name, paste0(prefix, "icc3.ci_low"), (f / qf(.975, n - 1, (n - 1) * (k - 1)) - 1) /
                                             (f / qf(.975, n - 1, (n - 1) * (k - 1)) + k - 1))
  }
}
put_ccc <- function(name, x, y) {  # Lin 1989, 2000, as in epiR::epi.ccc
  n <- length(x); sx2 <- var(x) * (n - 1) / n; sy2 <- var(y) * (n - 1) / n
  sxy <- cov(x, y) * (n - 1) / n; u <- (mean(x) - mean(y)) / (sx2 * sy2)^.25
  p <- 2 * sxy / (sx2 + sy2 + (mean(x) - mean(y))^2); r <- cor(x, y)
  se <- sqrt(((1 - r^2) * p^2 * (1 - p^2) / r^2 + 2 * p^3 * (1 - p) * u^2 / r -
              .5 * p^4 * u^4 / r^2) / (n - 2))
  put(name, "ccc.estimate", p)
  put(name, "ccc.ci_low", tanh(atanh(p) - qnorm(.975) * se / (1 - p^2)))
  put(name, "ccc.ci_high", tanh(atanh(p) + qnorm(.975) * se / (1 - p^2)))
}
put_errors <- function(name, x, y) {
  d <- y - x; n <- length(d); a <- abs(d)
  for (m in c("mse", "mae")) {
    v <- if (m == "mse") d^2 else a
    ci <- mean(v) + c(-1, 1) * qt(.975, n - 1) * sd(v) / sqrt(n)
    put(name, paste0(m, ".estimate"), mean(v)); put(name, paste0(m, ".ci_low"), max(0, ci[1]))
    put(name, paste0(m, ".ci_high"), ci[2])
    if (m == "mse") {
      put(name, "rmse.estimate", sqrt(mean(v))); put(name, "rmse.ci_high", sqrt(ci[2]))
    }
  }
  t <- t.test(d)
  put(name, "bias.estimate", unname(t$estimate)); put(name, "bias.statistic", unname(t$statistic))
  put(name, "bias.p", t$p.value); put(name, "bias.ci_low", t$conf.int[1])
  put(name, "bias.ci_high", t$conf.int[2])
  put(name, "median_ae.estimate", median(a))
  l <- qbinom(.025, n, .5)
  if (l > 0) {
    put(name, "median_ae.ci_low", sort(a)[l]); put(name, "median_ae.ci_high", sort(a)[n + 1 - l])
  }
  z <- qnorm(.975); half <- qt(.975, n - 1) * sd(d) * sqrt(1 / n + z^2 / (2 * (n - 1)))
  for (s in c(-1, 1)) {
    key <- if (s < 0) "loa_low." else "loa_high."
    put(name, paste0(key, "estimate"), mean(d) + s * z * sd(d))
    put(name, paste0(key, "ci_low"), mean(d) + s * z * sd(d) - half)
    put(name, paste0(key, "ci_high"), mean(d) + s * z * sd(d) + half)
  }
}
put_dependent <- function(name, x, y, z) {
  n <- length(x); r12 <- cor(x, y); r13 <- cor(x, z); r23 <- cor(y, z)
  w <- r.test(n, r12 = r12, r13 = r13, r23 = r23)
  put(name, "williams.estimate", r12 - r13); put(name, "williams.statistic", w$t)
  put(name, "williams.p", w$p)
  rm2 <- ((r12 + r13) / 2)^2  # Steiger 1980, equation 14
  s <- (r23 * (1 - 2 * rm2) - .5 * rm2 * (1 - 2 * rm2 - r23^2)) / (1 - rm2)^2
  zz <- (atanh(r12) - atanh(r13)) * sqrt(n - 3) / sqrt(2 - 2 * s)
  if (name != "near_perfect") {  # there this form of the formula loses half of the digits
    put(name, "steiger.statistic", zz); put(name, "steiger.p", 2 * pnorm(-abs(zz)))
  }
  h <- qnorm(.975) / sqrt(n - 3)  # Zou 2007
  l1 <- tanh(atanh(r12) - h); u1 <- tanh(atanh(r12) + h)
  l2 <- tanh(atanh(r13) - h); u2 <- tanh(atanh(r13) + h)
  c <- ((r23 - .5 * r12 * r13) * (1 - r12^2 - r13^2 - r23^2) + r23^3) / ((1 - r12^2) * (1 - r13^2))
  put(name, "williams.ci_low",
      r12 - r13 - sqrt((r12 - l1)^2 + (u2 - r13)^2 - 2 * c * (r12 - l1) * (u2 - r13)))
  put(name, "williams.ci_high",
      r12 - r13 + sqrt((u1 - r12)^2 + (r13 - l2)^2 - 2 * c * (u1 - r12) * (r13 - l2)))
}

for (name in names(tables)) {
  t <- tables[[name]]
  pair <- t[complete.cases(t$x, t$y), ]; all <- t[complete.cases(t), ]
  x <- pair$x; y <- pair$y
  if (sd(y) > 0) {
    p <- cor.test(x, y)
    put(name, "pearson.estimate", unname(p$estimate)); put(name, "pearson.statistic", unname(p$statistic))
    put(name, "pearson.df1", unname(p$parameter)); put(name, "pearson.p", p$p.value)
    if (!is.null(p$conf.int)) {
      put(name, "pearson.ci_low", p$conf.int[1]); put(name, "pearson.ci_high", p$conf.int[2])
    }
    s <- suppressWarnings(cor.test(x, y, method = "spearman"))
    put(name, "spearman.estimate", unname(s$estimate))
    put(name, "spearman.statistic", unname(s$statistic)); put(name, "spearman.p", s$p.value)
    if (length(x) > 3) {  # Bonett & Wright 2000
      r <- unname(s$estimate); h <- qnorm(.975) * sqrt((1 + r^2 / 2) / (length(x) - 3))
      put(name, "spearman.ci_low", tanh(atanh(r) - h)); put(name, "spearman.ci_high", tanh(atanh(r) + h))
    }
    put_ccc(name, x, y)
    if (nrow(all) > 3) put_dependent(name, all$x, all$y, all$z)
  }
  put_errors(name, x, y)
  put_icc(name, "", cbind(x, y))
  put_icc(name, "three.", all)
}

# Corrections of p-values
p <- c(.001, .012, .013, .04, .2, .2, .7, .0004)
for (m in c("bonferroni", "holm", "BH")) {
  a <- p.adjust(p, m)
  for (i in seq_along(p)) put("p_adjust", paste0(tolower(m), i), a[i])
}
# Steiger 1980, case A of his examples (N = 103), as in the manual of psych::r.test
w <- r.test(103, r12 = .4, r13 = .5, r23 = .1)
put("steiger_1980", "williams.statistic", w$t); put("steiger_1980", "williams.p", w$p)

expected <- do.call(rbind, rows)
expected <- expected[!is.na(expected$value), ]
expected$value <- sprintf("%.17g", expected$value)
write.table(expected, "expected.tsv", sep = "\t", quote = FALSE, row.names = FALSE)
stored <- do.call(rbind, lapply(grep("^generated", names(tables), invert = TRUE, value = TRUE),
  function(name) data.frame(table = name, lapply(tables[[name]], function(v)
    ifelse(is.na(v), "n/a", sprintf("%.17g", v))))))
write.table(stored, "tables.tsv", sep = "\t", quote = FALSE, row.names = FALSE)
