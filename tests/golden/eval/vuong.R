#!/usr/bin/env Rscript
# Golden values of Vuong's test of zero inflation by pscl::vuong (its code, made to return its numbers
# instead of printing them): ZIP against Poisson, ZINB against the negative binomial of MASS.
#   Rscript tests/golden/eval/vuong.R tests/golden/eval
# reads count_regression.tsv (count_regression.R), writes vuong_expected.tsv (case quantity value) for the
# tables whose counts stay below 300 (pscl keeps a matrix of all probabilities). Covariates are standardised:
# the test depends on fitted probabilities alone.
suppressPackageStartupMessages({library(pscl); library(MASS)})
folder <- commandArgs(trailingOnly = TRUE)[1]
numbers <- pscl::vuong
body(numbers)[[length(body(numbers))]] <- quote(return(list(z = v, p = pval)))
all <- read.delim(file.path(folder, "count_regression.tsv"))
rows <- list()
for (case in unique(all$case)) {
  d <- all[all$case == case, ]
  if (max(d$y) >= 300 || !any(d$y == 0)) next
  d$x1 <- as.vector(scale(d$x1))
  formula <- list(y ~ x1 + x2 | 1, y ~ x1 + x2 | x1, y ~ x1 + x2 | x1 + x2)[[d$zero_terms[1] + 1]]
  for (dist in c("poisson", "negbin")) {
    name <- if (dist == "poisson") "zip" else "zinb"
    inflated <- tryCatch(suppressWarnings(zeroinfl(formula, data = d, dist = dist,
      control = zeroinfl.control(reltol = 1e-14, maxit = 20000))), error = function(e) NULL)
    plain <- tryCatch(suppressWarnings(if (dist == "poisson")
      glm(y ~ x1 + x2, poisson, d, epsilon = 1e-14) else glm.nb(y ~ x1 + x2, d, control =
      glm.control(epsilon = 1e-14, maxit = 500))), error = function(e) NULL)
    if (is.null(inflated) || is.null(plain) || !all(is.finite(diag(vcov(inflated)))) ||
        max(abs(coef(inflated))) > 15) next
    capture.output(out <- numbers(inflated, plain))
    for (i in 1:3) {
      kind <- c("raw", "aic", "bic")[i]
      rows[[length(rows) + 1]] <- data.frame(case = case,
        quantity = paste(name, kind, c("z", "p"), sep = "_"),
        value = sprintf("%.17g", c(out$z[i], out$p[i])))
    }
  }
}
write.table(do.call(rbind, rows), file.path(folder, "vuong_expected.tsv"), sep = "\t", quote = FALSE,
            row.names = FALSE)
