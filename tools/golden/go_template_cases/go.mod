module go_template_cases

go 1.22
