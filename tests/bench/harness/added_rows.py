"""How additions are trained where experts are rows of one stacked parameter: all of it trains, and the gradient of the old
rows is set to zero."""


def keep_added_rows(parameter, num_base):
    def hook(gradient):
        gradient = gradient.clone()
        gradient[:num_base] = 0
        return gradient
    parameter.requires_grad_(True)
    parameter.register_hook(hook)
