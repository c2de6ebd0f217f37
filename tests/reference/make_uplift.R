# Frozen values of grf's RATE, from its own R functions (they need no compiled code): see make_uplift.py.
source(commandArgs(trailingOnly = TRUE)[1])
here <- "tests/reference/"
data <- read.csv(paste0(here, "uplift_data.csv"))
set.seed(1)
lines <- c()
for (score in c("smooth", "tied", "constant")) for (target in c("AUTOC", "QINI")) {
  rate <- rank_average_treatment_effect.fit(data$robust, data[[score]], target = target, R = 4000, clusters = data$customer)
  numbers <- function(x) paste(sprintf("%.15g", x), collapse = ", ")
  lines <- c(lines, sprintf(' "%s %s": {"estimate": %s, "se": %s, "toc": [%s], "toc_se": [%s]}', score, target,
                            numbers(rate$estimate), numbers(rate$std.err), numbers(rate$TOC$estimate), numbers(rate$TOC$std.err)))
}
version <- sprintf(' "versions": {"grf": "2.x, commit a518b24a", "R": "%s", "half-samples": 4000}', getRversion())
writeLines(c("{", paste(c(version, lines), collapse = ",\n"), "}"), paste0(here, "uplift_grf.json"))
