#!/usr/bin/env Rscript
# Golden fits for count regression: glm (Poisson), MASS::glm.nb, pscl::zeroinfl (ZIP, ZINB).
#   Rscript tests/golden/eval/count_regression.R tests/golden/eval
# writes count_regression.tsv (case y x1 x2 zero_terms; zero_terms = covariates of the zero part: 0
# none, 1 x1, 2 x1 and x2), count_regression_expected.tsv (case quantity value) and
# bio_chemists_expected.tsv. Simulated data; the bioChemists data (Long 1990) stay in pscl.
#
# R works on standardised covariates, and coefficients and covariances are transformed back here:
# pscl's numerical Hessian (steps of 1e-3) is not good to 1e-3 on raw ages. The fits start both from
# EM and from glm, the better likelihood counts. Standard errors of the negative binomial are those
# of optimHess on a likelihood written with dnbinom (observed information); glm.nb's own, from the
# expected information, are written as nb_expected_se_*.
suppressPackageStartupMessages({library(pscl); library(MASS)})
out <- commandArgs(trailingOnly = TRUE)[1]
set.seed(1994)
tables <- list()
simulate <- function(name, n, b, theta, g, zero_terms, x1, x2, digits = 3) {
  x1 <- signif(x1, 7 + digits); u <- as.vector(scale(x1))
  mu <- exp(b[1] + b[2] * u + b[3] * x2)
  y <- if (is.finite(theta)) rnbinom(n, size = theta, mu = mu) else rpois(n, mu)
  eta <- g[1] + (if (zero_terms > 0) g[2] * u else 0) + (if (zero_terms > 1) g[3] * x2 else 0)
  y[runif(n) < plogis(eta)] <- 0
  tables[[name]] <<- data.frame(case = name, y = y, x1 = x1, x2 = x2, zero_terms = zero_terms)
}
age <- function(n) round(runif(n, 60, 96), 1)
sex <- function(n) rbinom(n, 1, .5)
simulate("rotterdam1000", 1000, c(1.6, .35, .1), 2, c(-1.5, -.5, 0), 1, age(1000), sex(1000))
simulate("clinical76", 76, c(2, .2, 0), 3, c(-1, -.4, 0), 0, age(76), sex(76))
simulate("both_terms", 400, c(1.2, .3, -.2), 1.5, c(-.5, -.6, .5), 2, age(400), sex(400))
simulate("many_zeros", 500, c(1, .3, .2), 2, c(1, -.5, 0), 1, age(500), sex(500))
simulate("small_mean", 800, c(-.2, .4, .1), 1.5, c(-.5, -.5, 0), 1, age(800), sex(800))
simulate("large_counts", 300, c(5, .4, -.3), 4, c(-1, .3, 0), 1, age(300), sex(300))
simulate("huge_counts", 200, c(8, .3, .2), 6, c(-1, .5, 0), 1, age(200), sex(200))
simulate("n5000", 5000, c(1.5, .26, .05), 2.5, c(-2, -.3, 0), 1, age(5000), sex(5000))
simulate("n40", 40, c(1.5, .3, .2), 3, c(-.8, 0, 0), 0, age(40), sex(40))
simulate("birth_year", 300, c(1.5, -.3, .2), 3, c(-1, .5, 0), 1, round(runif(300, 1920, 1960)), sex(300))
simulate("large_offset", 300, c(1.5, -.3, .2), 3, c(-1, .5, 0), 1, 1e6 + round(rnorm(300), 2), sex(300))
simulate("tiny_units", 300, c(1.5, .3, .2), 3, c(-1, .5, 0), 1, 1e-6 * round(rnorm(300), 3), sex(300))
simulate("huge_units", 300, c(1.5, .3, .2), 3, c(-1, .5, 0), 1, 1e5 * round(rnorm(300), 3), sex(300))
simulate("skewed_covariate", 300, c(1.2, .2, .2), 3, c(-1, .3, 0), 1, round(rlnorm(300, 0, 1), 3), sex(300))
simulate("rare_group", 300, c(1.5, .3, .5), 3, c(-1, .3, 0), 1, age(300), rbinom(300, 1, .04))
x <- age(300); simulate("correlated", 300, c(1.5, .3, .02), 3, c(-1, .3, 0), 1, x, round(.1 * x + rnorm(300, 0, .3), 2))
simulate("strong_overdispersion", 600, c(2, .3, .2), .5, c(-1.5, -.5, 0), 1, age(600), sex(600))
simulate("zip_like", 600, c(2, .3, .1), Inf, c(-.5, -.5, 0), 1, age(600), sex(600))
simulate("ties_decades", 500, c(1.6, .3, .1), 2, c(-1, -.5, 0), 1, 10 * round(age(500) / 10), sex(500))
simulate("no_effect", 250, c(1.5, 0, 0), 2, c(-.5, 0, 0), 1, age(250), sex(250))
simulate("n20", 20, c(2, .5, .1), 5, c(-.5, 0, 0), 0, age(20), sex(20))
simulate("no_inflation", 300, c(.8, .3, .2), 2, c(-40, 0, 0), 0, age(300), sex(300))
simulate("positive_only", 120, c(4, .2, .1), 20, c(-40, 0, 0), 1, age(120), sex(120))

expected <- list(); skipped <- character()
put <- function(case, quantity, value)
  expected[[length(expected) + 1]] <<- data.frame(case = case, quantity = quantity, value = sprintf("%.17g", unname(value)))
# raw coefficients from those of (x - m) / s: b = A b_scaled
back <- function(m, s) { p <- length(m); A <- diag(c(1, 1 / s), p + 1); if (p > 0) A[1, -1] <- -m / s; A }
best_zeroinfl <- function(formula, d, dist) {
  fits <- lapply(c(TRUE, FALSE), function(em) tryCatch(suppressWarnings(zeroinfl(formula, data = d, dist = dist,
    control = zeroinfl.control(reltol = 1e-14, maxit = 20000, EM = em))), error = function(e) NULL))
  fits <- Filter(Negate(is.null), fits)
  if (length(fits) == 0) NULL else fits[[which.max(sapply(fits, `[[`, "loglik"))]]
}
write_part <- function(name, prefix, b, v, A) {
  b <- A %*% b; v <- A %*% v %*% t(A)
  for (i in seq_along(b)) { put(name, paste0(prefix, "_b", i - 1), b[i]); put(name, paste0(prefix, "_se", i - 1), sqrt(v[i, i])) }
}
for (name in names(tables)) {
  d <- tables[[name]]; m <- c(mean(d$x1), mean(d$x2)); s <- c(sd(d$x1), sd(d$x2))
  d$u1 <- (d$x1 - m[1]) / s[1]; d$u2 <- (d$x2 - m[2]) / s[2]; A <- back(m, s); k <- d$zero_terms[1]
  Z <- if (k > 0) back(m[1:k], s[1:k]) else diag(1)
  f <- glm(y ~ u1 + u2, family = poisson, data = d, control = glm.control(epsilon = 1e-14, maxit = 200))
  write_part(name, "poisson", coef(f), vcov(f), A); put(name, "poisson_loglik", logLik(f)); put(name, "poisson_aic", AIC(f))
  f <- tryCatch(suppressWarnings(glm.nb(y ~ u1 + u2, data = d, control = glm.control(epsilon = 1e-13, maxit = 500))), error = function(e) NULL)
  if (!is.null(f) && f$theta < 1e3) {
    nll <- function(p) -sum(dnbinom(d$y, size = exp(p[4]), mu = exp(p[1] + p[2] * d$u1 + p[3] * d$u2), log = TRUE))
    o <- optim(c(coef(f), log(f$theta)), nll, method = "BFGS", control = list(reltol = 1e-15, maxit = 1000, ndeps = rep(1e-5, 4)))
    # Newton steps on the numerical derivatives settle theta beyond glm.nb's own tolerance
    par <- c(coef(f), log(f$theta))
    v <- solve(optimHess(par, nll, control = list(ndeps = rep(1e-4, 4))))
    write_part(name, "nb", coef(f), v[1:3, 1:3], A)
    e <- A %*% vcov(f) %*% t(A); for (i in 1:3) put(name, paste0("nb_expected_se", i - 1), sqrt(e[i, i]))
    put(name, "nb_theta", f$theta); put(name, "nb_log_theta_se", sqrt(v[4, 4])); put(name, "nb_loglik", logLik(f))
    put(name, "nb_theta_se_glm_nb", f$SE.theta)
  } else skipped <- c(skipped, paste(name, "nb"))
  formula <- if (k == 0) y ~ u1 + u2 | 1 else if (k == 1) y ~ u1 + u2 | u1 else y ~ u1 + u2 | u1 + u2
  for (dist in c("poisson", "negbin")) {
    prefix <- if (dist == "poisson") "zip" else "zinb"
    f <- if (any(d$y == 0)) best_zeroinfl(formula, d, dist) else NULL
    fine <- !is.null(f) && all(is.finite(diag(vcov(f)))) && all(diag(vcov(f)) > 0) && max(abs(f$coefficients$zero)) < 12 &&
      sqrt(max(diag(vcov(f)))) < 20 && (dist == "poisson" || f$theta < 1e3)
    if (!fine) { skipped <- c(skipped, paste(name, prefix)); next }
    v <- vcov(f)
    write_part(name, paste0(prefix, "_count"), f$coefficients$count, v[1:3, 1:3], A)
    write_part(name, paste0(prefix, "_zero"), f$coefficients$zero, v[-(1:3), -(1:3), drop = FALSE], Z)
    put(name, paste0(prefix, "_loglik"), f$loglik); put(name, paste0(prefix, "_aic"), AIC(f))
    if (dist == "negbin") { put(name, "zinb_theta", f$theta); put(name, "zinb_log_theta_se", f$SE.logtheta) }
    if (dist == "negbin" && k == 1) {  # likelihood ratio of x1 in both parts
      g <- best_zeroinfl(y ~ u2 | 1, d, dist)
      if (g$loglik < f$loglik) { put(name, "zinb_lr_x1", 2 * (f$loglik - g$loglik))
        put(name, "zinb_lr_p", pchisq(2 * (f$loglik - g$loglik), 2, lower.tail = FALSE)) }
      # ratio of mean predictions for one SD more of x1, delta method by numerical differences
      X <- cbind(1, d$u1, d$u2); W <- cbind(1, d$u1); X1 <- X; X1[, 2] <- X[, 2] + 1; W1 <- W; W1[, 2] <- W[, 2] + 1
      lr <- function(p) log(mean(plogis(-W1 %*% p[4:5]) * exp(X1 %*% p[1:3])) / mean(plogis(-W %*% p[4:5]) * exp(X %*% p[1:3])))
      p0 <- c(f$coefficients$count, f$coefficients$zero)
      grad <- sapply(1:5, function(i) { h <- replace(numeric(5), i, 1e-5); (lr(p0 + h) - lr(p0 - h)) / 2e-5 })
      put(name, "zinb_overall", lr(p0)); put(name, "zinb_overall_se", sqrt(grad %*% v %*% grad)); put(name, "x1_sd", s[1])
    }
  }
}
write <- function(frame, file) write.table(frame, file.path(out, file), sep = "\t", quote = FALSE, row.names = FALSE)
all <- do.call(rbind, tables); all$x1 <- sprintf("%.17g", all$x1)
write(all, "count_regression.tsv"); write(do.call(rbind, expected), "count_regression_expected.tsv")

expected <- list()
data("bioChemists", package = "pscl")
b <- bioChemists; m <- sapply(b[c("kid5", "phd", "ment")], mean); s <- sapply(b[c("kid5", "phd", "ment")], sd)
b$fem <- as.numeric(b$fem == "Women"); b$mar <- as.numeric(b$mar == "Married")
for (v in names(m)) b[[v]] <- (b[[v]] - m[v]) / s[v]
A <- back(c(0, 0, m), c(1, 1, s))
for (dist in c("poisson", "negbin")) {
  f <- best_zeroinfl(art ~ fem + mar + kid5 + phd + ment, b, dist); v <- vcov(f); prefix <- if (dist == "poisson") "zip" else "zinb"
  write_part("bio", paste0(prefix, "_count"), f$coefficients$count, v[1:6, 1:6], A)
  write_part("bio", paste0(prefix, "_zero"), f$coefficients$zero, v[-(1:6), -(1:6)], A)
  put("bio", paste0(prefix, "_loglik"), f$loglik)
  if (dist == "negbin") { put("bio", "zinb_theta", f$theta); put("bio", "zinb_log_theta_se", f$SE.logtheta) }
}
write(do.call(rbind, expected), "bio_chemists_expected.tsv")
cat("not written (no interior maximum or no finite standard error):", paste(skipped, collapse = ", "), "\n")
