# Makes boot_sample.tsv, boot_resamples.tsv and boot_expected.tsv: what R's boot says about one sample
# on given resamples, plain and stratified; and cuts_expected.tsv: kappa (psych), AUC (DeLong), Wilson.
#   Rscript make_boot_goldens.R      (in this folder; R >= 4.2 with psych and boot)
suppressPackageStartupMessages({library(psych); library(boot)})
set.seed(1987)
n <- 36; replicates <- 499
lambda <- rgamma(n, 1.5, .2)
d <- data.frame(x = rpois(n, lambda), y = round(lambda + rnorm(n, 0, 2.5), 3), z = rpois(n, 1 + .6 * lambda))
strata <- rep(1:3, c(10, 14, 12))

icc2 <- function(x, y) {
  m <- cbind(x, y); k <- length(x); g <- mean(m)
  b <- 2 * sum((rowMeans(m) - g)^2) / (k - 1); j <- k * sum((colMeans(m) - g)^2)
  e <- sum((sweep(sweep(m, 1, rowMeans(m)), 2, colMeans(m)) + g)^2) / (k - 1)
  (b - e) / (b + e + 2 * (j - e) / k)
}
auc <- function(x, y, t) {
  p <- y[x > t]; q <- y[x <= t]
  mean(outer(p, q, ">") + .5 * outer(p, q, "=="))
}
ccc <- function(x, y) {
  k <- length(x)
  2 * cov(x, y) / (var(x) + var(y) + k / (k - 1) * (mean(x) - mean(y))^2)
}
bounds <- c(0, 5, 10)
category <- function(v) findInterval(v, bounds, left.open = TRUE)
qkappa <- function(x, y) {
  suppressWarnings(cohen.kappa(cbind(category(x), category(y)), levels = 0:3)$weighted.kappa)
}
statistic <- function(data, i) {
  x <- data$x[i]; y <- data$y[i]; z <- data$z[i]
  c(pearson = cor(x, y), spearman = cor(x, y, method = "spearman"), icc2 = icc2(x, y),
    ccc = ccc(x, y), mse = mean((y - x)^2), mae = mean(abs(y - x)),
    median_ae = median(abs(y - x)), bias = mean(y - x), auc = auc(x, y, 6),
    kappa_quadratic = qkappa(x, y),
    difference_mae = mean(abs(y - x)) - mean(abs(z - x)),
    difference_pearson = cor(x, y) - cor(x, z))
}
rows <- list()
put <- function(design, name, value)
  rows[[length(rows) + 1]] <<- data.frame(design = design, statistic = name, value = sprintf("%.17g", value))
resamples <- list()
for (design in c("plain", "stratified")) {
  b <- if (design == "plain") boot(d, statistic, replicates) else
    boot(d, statistic, replicates, strata = strata)
  resamples[[design]] <- data.frame(design = design, boot.array(b, indices = TRUE))
  for (i in seq_along(b$t0)) {
    name <- names(b$t0)[i]
    l <- empinf(b, index = i, type = "jack")
    ci <- suppressWarnings(boot.ci(b, type = c("perc", "bca"), index = i, L = l))
    put(design, paste0(name, ".observed"), b$t0[i])
    put(design, paste0(name, ".percentile_low"), ci$percent[4])
    put(design, paste0(name, ".percentile_high"), ci$percent[5])
    put(design, paste0(name, ".bca_low"), ci$bca[4])
    put(design, paste0(name, ".bca_high"), ci$bca[5])
  }
}
write.table(do.call(rbind, rows), "boot_expected.tsv", sep = "\t", quote = FALSE, row.names = FALSE)
write.table(do.call(rbind, resamples), "boot_resamples.tsv", sep = "\t", quote = FALSE, row.names = FALSE)
write.table(data.frame(d, stratum = strata), "boot_sample.tsv", sep = "\t", quote = FALSE, row.names = FALSE)

rows <- list()
put <- function(name, value)
  rows[[length(rows) + 1]] <<- data.frame(statistic = name, value = sprintf("%.17g", value))
x <- d$x; y <- d$y; t <- 6
k <- suppressWarnings(cohen.kappa(cbind(category(x), category(y)), levels = 0:3))
linear <- 1 - abs(outer(0:3, 0:3, "-")) / 3
kl <- suppressWarnings(cohen.kappa(table(factor(category(x), 0:3), factor(category(y), 0:3)), w = linear))
put("kappa.estimate", k$kappa); put("kappa.ci_low", k$confid[1, "lower"])
put("kappa.ci_high", k$confid[1, "upper"])
# Intervals of the weighted forms come from make_kappa_goldens.py: psych 2.2.9 takes the row means of
# the weights from the wrong margin.
put("kappa_quadratic.estimate", k$weighted.kappa); put("kappa_linear.estimate", kl$weighted.kappa)
wilson <- function(key, s, m) {
  w <- prop.test(s, m, correct = FALSE)
  put(paste0(key, ".estimate"), w$estimate); put(paste0(key, ".ci_low"), w$conf.int[1])
  put(paste0(key, ".ci_high"), w$conf.int[2])
}
wilson("accuracy", sum((x > t) == (y > t)), n)
wilson("sensitivity", sum(x > t & y > t), sum(x > t))
wilson("specificity", sum(x <= t & y <= t), sum(x <= t))
p <- y[x > t]; q <- y[x <= t]  # DeLong, DeLong & Clarke-Pearson 1988 by its definition
psi <- outer(p, q, ">") + .5 * outer(p, q, "==")
se <- sqrt(var(rowMeans(psi)) / length(p) + var(colMeans(psi)) / length(q))
put("auc.estimate", mean(psi)); put("auc.ci_low", max(0, mean(psi) - qnorm(.975) * se))
put("auc.ci_high", min(1, mean(psi) + qnorm(.975) * se))
write.table(do.call(rbind, rows), "cuts_expected.tsv", sep = "\t", quote = FALSE, row.names = FALSE)
